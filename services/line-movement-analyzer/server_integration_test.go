//go:build integration && unix

package main

import (
	"os"
	"testing"

	"github.com/keepmum/keepmum/services/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
