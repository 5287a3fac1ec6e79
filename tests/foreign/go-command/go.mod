module example.com/go-command

go 1.21
