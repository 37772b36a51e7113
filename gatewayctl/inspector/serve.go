// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"encoding/json"
	"io"
)

// Verb is the first argument of the program as an inspector, after it has stepped down.
const Verb = "inspect"

// Serve answers each line of in with a line until in ends. If the process could not step
// down, refused is the reason, and each answer.
func Serve(refused error, in io.Reader, out io.Writer) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q Question
		if err := questions.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		a := Answer{}
		if refused != nil {
			a.Error = refused.Error()
		} else {
			a = answer(q)
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}
