package abi

import (
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
)

// Area is memory for what a call returns, in words of 32 bits. It is on the heap: a goroutine's stack may move while the host calls back.
type Area []uint32

// New is an area of so many words, aligned for words of 64 bits.
func New(words int) Area {
	block := make([]uint64, (words+1)/2)
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(block))), words)
}

// At is where the area begins.
func (a Area) At() unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(a))
}

// Case is the discriminant in a word: the host writes its first byte only.
func (a Area) Case(word int) int {
	return int(a[word] & 0xff)
}

// Text is the text whose address and length are in a word and the next.
func (a Area) Text(word int) string {
	return Text(a[word], a[word+1])
}

// Bytes are those whose address and length are in a word and the next.
func (a Area) Bytes(word int) []byte {
	return Bytes(a[word], a[word+1])
}

// Maybe is an optional text: nil for none.
func (a Area) Maybe(word int) *string {
	if a.Case(word) == 0 {
		return nil
	}
	text := a.Text(word + 1)
	return &text
}

// U64 is a number of 64 bits.
func (a Area) U64(word int) uint64 {
	return uint64(a[word]) | uint64(a[word+1])<<32
}

// Texts is a list of texts.
func (a Area) Texts(word int) []string {
	list := List(a[word], a[word+1], 2)
	texts := make([]string, 0, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		texts = append(texts, list.Text(i))
	}
	return texts
}

// Failure is the error of a variant whose cases all carry a text.
func (a Area) Failure(name string, codes []string, word int) error {
	return &fault.Error{Name: name, Code: codes[a.Case(word)], Message: a.Text(word + 1)}
}

// SetText puts a text's address and length into a word and the next. The caller keeps the text.
func (a Area) SetText(word int, text string) {
	a[word] = uint32(uintptr(unsafe.Pointer(unsafe.StringData(text))))
	a[word+1] = uint32(len(text))
}

// Option is an optional text as an argument: whether there is one, and it.
func Option(text *string) (uint32, string) {
	if text == nil {
		return 0, ""
	}
	return 1, *text
}

// AsText are bytes as an argument.
func AsText(bytes []byte) string {
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}

// Flag is a truth as an argument.
func Flag(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}

// Script errors are 10 words: name, message, optional stack, optional details.

// SetRecord writes a script's error from a word on.
func (a Area) SetRecord(word int, record fault.Record) {
	a.SetText(word, record.Name)
	a.SetText(word+2, record.Message)
	a[word+4] = Flag(record.Stack != "")
	a.SetText(word+5, record.Stack)
	a[word+7] = Flag(record.Details != "")
	a.SetText(word+8, record.Details)
}

// Record reads a script's error from a word on.
func (a Area) Record(word int) fault.Record {
	record := fault.Record{Name: a.Text(word), Message: a.Text(word + 2)}
	if stack := a.Maybe(word + 4); stack != nil {
		record.Stack = *stack
	}
	if details := a.Maybe(word + 7); details != nil {
		record.Details = *details
	}
	return record
}
