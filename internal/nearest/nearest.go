// SPDX-License-Identifier: Apache-2.0

// Package nearest finds the word that a user meant: a key, a command or an option.
package nearest

import "strings"

// maxWord bounds the words that are compared, because the work grows with its square.
const maxWord = 64

// Word returns the first of the known words that is nearest to word, and how many edits are
// between them. Capitals in word count as small letters. ok is false if none is near enough
// to be meant: more than one edit in three letters.
func Word(word string, known []string) (found string, edits int, ok bool) {
	word, edits = strings.ToLower(word), min(len(word)/3+1, maxWord)
	for _, k := range known {
		if n := distance(word, k); n < edits {
			found, edits, ok = k, n, true
		}
	}
	return found, edits, ok
}

// Hint returns ": did you mean WORD?" with the nearest of the known words after prefix. If
// none is near, WORD is the only one that begins with word. Without any Hint returns "".
func Hint(word, prefix string, known []string) string {
	found, _, ok := Word(word, known)
	if !ok {
		found, ok = completion(word, known)
	}
	if ok {
		return ": did you mean " + prefix + found + "?"
	}
	return ""
}

// leastPrefix is the length from which on a word may be the beginning of another.
const leastPrefix = 3

// completion returns the one known word that begins with word.
func completion(word string, known []string) (found string, ok bool) {
	if len(word) < leastPrefix {
		return "", false
	}
	for _, k := range known {
		switch {
		case !strings.HasPrefix(k, word):
		case ok:
			return "", false
		default:
			found, ok = k, true
		}
	}
	return found, ok
}

// distance returns the number of bytes to insert, delete, replace or exchange with
// their neighbor that make a to b. It is at least maxWord for a longer word.
func distance(a, b string) int {
	if max(len(a), len(b)) > maxWord {
		return maxWord
	}
	var before, last, row [maxWord + 1]int // of the distances from a[:i-2], a[:i-1] and a[:i]
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last = last, row
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j], row[j-1]) + 1
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(row[j], replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
