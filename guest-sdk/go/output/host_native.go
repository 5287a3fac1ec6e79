//go:build !wasip1

package output

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func hostProgress(percent float64, message string) { fake.Host.Progress(percent, message) }
func hostWrite(chunk []byte)                       { fake.Host.Write(chunk) }
