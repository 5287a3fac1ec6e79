module github.com/sandmill/sandmill/guest-sdk/go

go 1.26
