//go:build !wasip1

package blob

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func infoOf(object fake.Object) Info {
	return Info{object.Key, uint64(len(object.Data)), object.Modified, object.ContentType}
}

func hostGet(key string) (uint32, bool, error) { return fake.Host.OpenBlob(key) }

func hostInfo(handle uint32) Info { return infoOf(fake.Host.BlobOf(handle)) }

func hostRead(handle, bytesMax uint32) ([]byte, bool, error) {
	return fake.Host.ReadBlob(handle, bytesMax)
}

func hostPut(key, contentType string) (uint32, error) { return fake.Host.CreateBlob(key, contentType) }

func hostWrite(handle uint32, chunk []byte) error { return fake.Host.WriteBlob(handle, chunk) }

func hostFinish(handle uint32) (Info, error) { return infoOf(fake.Host.FinishBlob(handle)), nil }

func hostStat(key string) (*Info, error) {
	object, found := fake.Host.Blobs[key]
	if !found {
		return nil, nil
	}
	info := infoOf(object)
	return &info, nil
}

func hostDelete(key string) error {
	delete(fake.Host.Blobs, key)
	return nil
}

func hostList(prefix string, after *string, limit uint32) ([]Info, error) {
	var infos []Info
	for _, key := range fake.Keys(fake.Host.Blobs, prefix, after, int(limit)) {
		info := infoOf(fake.Host.Blobs[key])
		info.ContentType = ""
		infos = append(infos, info)
	}
	return infos, nil
}

func hostDropReader(uint32) {}
func hostDropWriter(uint32) {}

var _, _ = name, codes
