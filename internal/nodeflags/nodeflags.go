// SPDX-License-Identifier: Apache-2.0

// Package nodeflags decides from a command line, and from NODE_OPTIONS, whether
// a Node process gives its memory or its environment away: by a debugger that
// opens a port, or by a report or snapshot that it writes to a file. It also
// finds the program that a command ends up in, for example a script's interpreter
// or the program that env(1) looks up. It has no state and opens no file.
package nodeflags

import (
	"path"
	"slices"
	"strings"
)

// IsNode reports whether a program has one of Node's names: node, nodejs, or
// such a name with a version as some distributions write it (node-22, node24).
func IsNode(program string) bool {
	name := strings.TrimRight(path.Base(program), "0123456789.")
	name = strings.TrimSuffix(name, "-")
	return name == "node" || name == "nodejs"
}

// Problems returns a line for each reason why the Node process that argv starts
// with these NODE_OPTIONS can be read by another process. The program's own name
// is argv[0]. Node reads NODE_OPTIONS first, so an option of argv overrides it.
func Problems(argv []string, nodeOptions string) []string {
	var s scan
	words, ok := splitOptions(nodeOptions)
	rest := s.options(words, " in NODE_OPTIONS")
	switch {
	case !ok:
		s.problem("NODE_OPTIONS has a quote without its end: Node does not start with it")
	case len(rest) > 0:
		s.problem("NODE_OPTIONS has a word that is not an option: take it out")
		s.words(rest, " in NODE_OPTIONS") // Node may read on
		s.closed = false
	}
	if len(argv) > 0 {
		rest = s.options(argv[1:], "")
		if len(rest) > 0 && (rest[0] == "inspect" || rest[0] == "debug") {
			s.problem("node " + rest[0] + " is the debugger: start the script itself")
		}
	}
	return s.end()
}

// scan is the result of the options so far.
type scan struct {
	closed   bool     // SIGUSR1 does not open the debugger
	excluded bool     // a report has no environment
	reports  []string // options that write a report
	problems []string
}

func (s *scan) problem(text string) {
	if !slices.Contains(s.problems, text) {
		s.problems = append(s.problems, text)
	}
}

// end returns all problems. It adds those that only the last option of a kind
// decides.
func (s *scan) end() []string {
	if !s.excluded {
		for _, name := range s.reports {
			s.problem("--" + name + " writes the environment to a file: add --report-exclude-env")
		}
	}
	if !s.closed {
		s.problem("SIGUSR1 opens the debugger: put --disable-sigusr1 before the script, or into NODE_OPTIONS of gateway.env")
	}
	return s.problems
}

// options reads the options at the beginning of words and returns the rest, which is
// the script and its arguments. It reads as Node does. "-" is a script, "--" ends the
// options, and a word that Node does not know is an option of V8, whose value is
// never a word of its own.
func (s *scan) options(words []string, where string) []string {
	for len(words) > 0 {
		word := words[0]
		if len(word) < 2 || word[0] != '-' {
			return words
		}
		words = words[1:]
		if word == "--" {
			return words
		}
		s.option(word, where)
		name, _, given := strings.Cut(word, "=")
		name = normalName(name)
		switch {
		case given || len(words) == 0:
		case slices.Contains(optionsWithValue(), name):
			words = words[1:]
		case takesOptionalValue(name) && !strings.HasPrefix(words[0], "-"):
			words = words[1:]
		}
	}
	return nil
}

// words looks at each word that could be an option.
func (s *scan) words(words []string, where string) {
	for _, word := range words {
		if strings.HasPrefix(word, "-") {
			s.option(word, where)
		}
	}
}

// option takes one option. A value in the word of a switch ("--name=false") is
// not trusted to switch anything off.
func (s *scan) option(word, where string) {
	name, _, given := strings.Cut(word, "=")
	name = normalName(name)
	bare, negated := strings.CutPrefix(name, "--no-")
	if !negated {
		bare = strings.TrimLeft(name, "-") // V8 takes one dash for two
	}
	switch {
	case bare == "disable-sigusr1":
		s.closed = name == "--disable-sigusr1" && !given
	case bare == "report-exclude-env":
		s.excluded = name == "--report-exclude-env" && !given
	case slices.Contains([]string{"report-on-signal", "report-signal", "report-on-fatalerror", "report-uncaught-exception"}, bare):
		s.reports = slices.DeleteFunc(s.reports, func(n string) bool { return n == bare })
		if !negated {
			s.reports = append(s.reports, bare)
		}
	case negated:
	case strings.HasPrefix(bare, "inspect") || bare == "debug" || strings.HasPrefix(bare, "debug-"):
		s.problem("--" + short(bare) + where + " opens the debugger: take it out")
	case strings.HasPrefix(bare, "heapsnapshot-") || strings.HasPrefix(bare, "heap-snapshot-on-"):
		s.problem("--" + short(bare) + where + " writes the memory to a file: take it out")
	case strings.HasPrefix(bare, "env-file") || slices.Contains([]string{"config-file", "experimental-config-file", "experimental-default-config-file"}, bare):
		s.problem("--" + short(bare) + where + " can set NODE_OPTIONS from a file: take it out")
	}
}

// normalName returns an option's name with dashes for underscores, as in Node.
func normalName(name string) string {
	if !strings.HasPrefix(name, "-") {
		return name
	}
	return strings.ReplaceAll(name, "_", "-")
}

func short(name string) string { return name[:min(len(name), 64)] }

// splitOptions splits NODE_OPTIONS as Node does. It splits at spaces alone, and
// outside of double quotes, in which a backslash takes the next character as it is.
func splitOptions(text string) (words []string, ok bool) {
	var word strings.Builder
	quoted, begun := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quoted:
			if i++; i == len(text) {
				return words, false
			}
			word.WriteByte(text[i])
		case c == ' ' && !quoted:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
			continue
		case c == '"':
			quoted = !quoted
		default:
			word.WriteByte(c)
		}
		begun = true
	}
	if begun {
		words = append(words, word.String())
	}
	return words, !quoted
}

// takesOptionalValue reports whether an option takes the next word as its value only
// if that is not an option.
func takesOptionalValue(name string) bool { return name == "-p" || name == "-pe" || name == "--print" }

// optionsWithValue returns the options whose value may be the next word, of Node 18
// to 24 (node --help lists them with "="). The value of an option that is missing
// here would be taken for the script, and the options after it would not be checked.
func optionsWithValue() []string {
	return strings.Fields(`
		-C --conditions -e --eval -r --require
		--allow-fs-read --allow-fs-write --build-snapshot-config --config-file
		--cpu-prof-dir --cpu-prof-interval --cpu-prof-name
		--debug-port --diagnostic-dir --disable-proto --disable-warning --dns-result-order
		--env-file --env-file-if-exists
		--experimental-config-file --experimental-default-type
		--experimental-loader --experimental-package-map --experimental-policy --experimental-sea-config
		 --experimental-test-isolation --experimental-test-tag-filter
		--heap-prof-dir --heap-prof-interval --heap-prof-name --heapsnapshot-near-heap-limit --heapsnapshot-signal
		--icu-data-dir --import --input-type --inspect-port --inspect-publish-uid
		--loader --localstorage-file --max-http-header-size --max-old-space-size-percentage
		--network-family-autoselection-attempt-timeout --openssl-config --policy-integrity
		--redirect-warnings --report-dir --report-directory --report-filename --report-signal --run
		--secure-heap --secure-heap-min --security-revert --snapshot-blob
		--test-concurrency --test-coverage-branches --test-coverage-exclude --test-coverage-functions
		--test-coverage-include --test-coverage-lines --test-global-setup --test-isolation
		--test-name-pattern --test-random-seed --test-reporter --test-reporter-destination --test-rerun-failures
		--test-shard --test-skip-pattern --test-timeout --title --tls-cipher-list --tls-keylog
		--trace-event-categories --trace-event-file-pattern --trace-require-module
		--unhandled-rejections --use-largepages --v8-pool-size --watch-kill-signal --watch-path`)
}
