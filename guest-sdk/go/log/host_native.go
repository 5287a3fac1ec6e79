//go:build !wasip1

package log

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func hostWrite(level uint32, message string, fields *string) {
	fake.Host.LogWrite([]string{"trace", "debug", "info", "warn", "error"}[level], message, fields)
}
