// SPDX-License-Identifier: Apache-2.0

package nodeflags

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
)

// HeadSize is the number of bytes of a program that the kernel reads for "#!"
// (BINPRM_BUF_SIZE).
const HeadSize = 256

// maxSteps bounds interpreters of interpreters, as the kernel does.
const maxSteps = 5

// Program is the program that a command runs in the end.
type Program struct {
	Argv    []string // Argv[0] is an absolute path
	Options string   // NODE_OPTIONS
}

// Resolve follows "#!" lines and env(1) from a command to the program that the
// kernel executes last. env is the environment that the command gets. head
// returns the first HeadSize bytes of an executable file; its error means that
// there is no such file. The error of Resolve says why the program cannot be
// told.
func Resolve(argv, env []string, head func(path string) ([]byte, error)) (Program, error) {
	p := Program{Argv: argv, Options: value(env, "NODE_OPTIONS")}
	search := value(env, "PATH")
	for range maxSteps {
		if len(p.Argv) == 0 || !path.IsAbs(p.Argv[0]) {
			return p, fmt.Errorf("cannot tell which program runs: %.200q has no absolute path", strings.Join(p.Argv, " "))
		}
		file := p.Argv[0]
		data, err := head(file)
		switch {
		case err != nil:
			return p, fmt.Errorf("cannot tell which program runs: %s: %w", file, err)
		case bytes.HasPrefix(data, []byte("#!")):
			interpreter, err := shebang(data)
			if err != nil {
				return p, fmt.Errorf("cannot tell which program runs: %s: %w", file, err)
			}
			p.Argv = append(interpreter, p.Argv...)
		case path.Base(file) == "env":
			e := envCommand{options: p.Options, search: search}
			if err := e.parse(p.Argv[1:]); err != nil {
				return p, fmt.Errorf("cannot tell which program runs: %s: %w", file, err)
			}
			if !strings.Contains(e.argv[0], "/") {
				if e.argv[0], err = find(e.argv[0], e.search, head); err != nil {
					return p, fmt.Errorf("cannot tell which program runs: %w", err)
				}
			}
			p, search = Program{e.argv, e.options}, e.search
		default:
			return p, nil
		}
	}
	return p, fmt.Errorf("cannot tell which program runs: %.200s has more than %d interpreters", argv[0], maxSteps)
}

func value(env []string, name string) (v string) {
	for _, kv := range env {
		if k, value, ok := strings.Cut(kv, "="); ok && k == name {
			v = value
		}
	}
	return v
}

// shebang returns the interpreter of a script and its one argument, which may have
// spaces in it. The script's own name comes after them.
func shebang(head []byte) ([]string, error) {
	line, _, whole := bytes.Cut(head[2:], []byte("\n"))
	text := strings.Trim(string(line), " \t")
	name, argument, spaced := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
	switch {
	case !whole && len(head) >= HeadSize && !spaced:
		return nil, errors.New("its #! line is too long")
	case name == "":
		return nil, errors.New("its #! line names no interpreter")
	}
	if argument = strings.Trim(argument, " "); argument == "" {
		return []string{name}, nil
	}
	return []string{name, argument}, nil
}

// envCommand is the command that env(1) makes of its arguments.
type envCommand struct {
	argv            []string
	options, search string // NODE_OPTIONS, PATH
}

// parse reads the arguments of env. An option that it does not know is an error,
// because the next word may be its value or the program.
func (e *envCommand) parse(args []string) error {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		name, text, given := strings.Cut(word, "=")
		short := len(word) > 2 && word[0] == '-' && word[1] != '-'
		switch {
		case word == "--":
		case word == "-" || word == "-i" || word == "--ignore-environment":
			e.options, e.search = "", ""
		case word == "-v" || word == "--debug":
		case word == "-S" || word == "--split-string":
			if len(args) == 0 {
				return errors.New("env -S has no string")
			}
			text = args[0]
			args = args[1:]
			fallthrough
		case short && word[1] == 'S', name == "--split-string" && given:
			if short {
				text = word[2:]
			}
			if strings.ContainsAny(text, "\\\"'$#") {
				return errors.New("env -S has quotes or escapes: write the program without them")
			}
			args = append(strings.Fields(text), args...)
		case word == "-u" || word == "--unset":
			if len(args) == 0 {
				return errors.New("env -u has no name")
			}
			e.set(args[0], "")
			args = args[1:]
		case name == "--unset" && given:
			e.set(text, "")
		case strings.HasPrefix(word, "-"):
			return fmt.Errorf("env has the option %.40q, which hides the program: name the program itself", word)
		case given:
			e.set(name, text)
		default:
			e.argv = append([]string{word}, args...)
			return nil
		}
	}
	return errors.New("env has no program")
}

func (e *envCommand) set(name, value string) {
	switch name {
	case "NODE_OPTIONS":
		e.options = value
	case "PATH":
		e.search = value
	}
}

// find looks a name up in a PATH as execvp(3) does. A relative entry depends on
// the working directory, so it is an error.
func find(name, search string, head func(string) ([]byte, error)) (string, error) {
	for _, dir := range strings.Split(search, ":") {
		if !path.IsAbs(dir) {
			return "", fmt.Errorf("PATH has the entry %.60q, which is not absolute", dir)
		}
		if at := path.Join(dir, name); exists(at, head) {
			return at, nil
		}
	}
	return "", fmt.Errorf("%.60q is in no folder of PATH", name)
}

func exists(file string, head func(string) ([]byte, error)) bool {
	_, err := head(file)
	return err == nil
}
