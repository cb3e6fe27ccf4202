// The limit of a machine for what engine stream does: reads blobs of a registry by several connections, hashes every byte twice (for its
// blob and for all of them, each on a core of its own), and sends it once. No retries, no tar, no checksums of S3.
//
//	limit STORE-URL BLOB-URL...
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
)

const (
	partBytes   = 8 << 20
	connections = 8
)

type part struct {
	number   int
	url      string
	from, to int64
	isLast   bool // of its blob
	bytes    []byte
	read     chan struct{}  // closed when the bytes are there
	users    sync.WaitGroup // of the bytes: two hashes, one upload
}

func main() {
	log.SetFlags(0)
	store, urls := os.Args[1], os.Args[2:]
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = connections
	var parts []*part
	for _, url := range urls {
		answer, err := http.Head(url)
		check(err)
		answer.Body.Close()
		for from := int64(0); from < answer.ContentLength; from += partBytes {
			to := min(from+partBytes, answer.ContentLength)
			isLast := to == answer.ContentLength
			parts = append(parts, &part{len(parts) + 1, url, from, to, isLast, nil, make(chan struct{}), sync.WaitGroup{}})
		}
	}

	queue := make(chan *part)
	var done sync.WaitGroup
	for range connections {
		done.Go(func() {
			for each := range queue {
				move(each, store)
			}
		})
	}
	all, blob := sha256.New(), sha256.New()
	done.Go(func() { hashInOrder(parts, all, func(*part) {}) })
	done.Go(func() {
		hashInOrder(parts, blob, func(each *part) {
			if digest := fmt.Sprintf("sha256:%x", blob.Sum(nil)); each.isLast && !strings.HasSuffix(each.url, digest) {
				log.Fatalf("%s arrived as %s", each.url, digest)
			} else if each.isLast {
				blob.Reset()
			}
		})
	})
	free := make(chan []byte, 2*connections)
	for range cap(free) {
		free <- make([]byte, partBytes)
	}
	for _, each := range parts {
		memory := <-free
		each.bytes = memory[:each.to-each.from]
		each.users.Add(3)
		go func() {
			each.users.Wait()
			free <- memory
		}()
		queue <- each
	}
	close(queue)
	done.Wait()
	fmt.Printf("%x\n", all.Sum(nil))
}

func hashInOrder(parts []*part, into hash.Hash, onPart func(*part)) {
	for _, each := range parts {
		<-each.read
		into.Write(each.bytes)
		onPart(each)
		each.users.Done()
	}
}

// Reads a part and sends it.
func move(each *part, store string) {
	request, err := http.NewRequest("GET", each.url, nil)
	check(err)
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", each.from, each.to-1))
	answer, err := http.DefaultClient.Do(request)
	check(err)
	_, err = io.ReadFull(answer.Body, each.bytes)
	check(err)
	answer.Body.Close()
	close(each.read)
	request, err = http.NewRequest("PUT", fmt.Sprintf("%s?partNumber=%d", store, each.number), bytes.NewReader(each.bytes))
	check(err)
	answer, err = http.DefaultClient.Do(request)
	check(err)
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	each.users.Done()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
