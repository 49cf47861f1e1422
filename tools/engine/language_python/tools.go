//go:build tools

// Package tools names the command to build, so that go.mod and go.sum pin all it needs.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
