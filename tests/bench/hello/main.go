// SPDX-License-Identifier: Apache-2.0

// Command hello is the least that a Go program does. The benchmark compares
// gatewayctl with it.
package main

import "fmt"

func main() { fmt.Println("hello") }
