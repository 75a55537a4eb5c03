package builtins

import (
	"fmt"

	"go.starlark.net/starlark"

	"fabgo/internal/token"
	"fabgo/transport"
)

func secret(c *call, a struct {
	Name string `arg:"name"`
}) (starlark.Value, error) {
	if err := token.CheckName(a.Name); err != nil {
		return nil, fmt.Errorf("secret: name: %w", err)
	}
	if t, ok := c.secrets[a.Name]; ok {
		return starlark.String(t), nil
	}
	content, err := c.Session.Ask(transport.AskSecret, a.Name)
	if err != nil {
		return nil, err
	}
	b, err := content.ReadAll(transport.ReadLimit)
	if err != nil {
		return nil, err
	}
	if c.secrets == nil {
		c.secrets = map[string]string{}
	}
	c.secrets[a.Name] = string(b)
	return starlark.String(b), nil
}
