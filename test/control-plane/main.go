// Command kubernetes is the control plane of the end-to-end tests in one file: the upstream kube-apiserver,
// kube-controller-manager, kube-scheduler and kubectl, unchanged, chosen by the first argument or by the name it is called by.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = "usage: kubernetes apiserver|controller-manager|scheduler|kubectl [flags]"

// componentOf returns the component to run and the arguments left for it, or "" when neither names one.
func componentOf(args []string) (string, []string) {
	for at := 0; at < len(args) && at < 2; at++ {
		switch name := strings.TrimPrefix(filepath.Base(args[at]), "kube-"); name {
		case "apiserver", "controller-manager", "scheduler", "kubectl":
			return name, args[at:]
		}
	}
	return "", nil
}

func main() {
	component, args := componentOf(os.Args)
	os.Args = args
	var command *cobra.Command
	switch component {
	case "apiserver":
		command = apiserver.NewAPIServerCommand()
	case "controller-manager":
		command = controllermanager.NewControllerManagerCommand()
	case "scheduler":
		command = scheduler.NewSchedulerCommand()
	case "kubectl":
		// kubectl prints its own errors and has its own exit codes (a failed exec passes on the command's).
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
		return
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(64)
	}
	os.Exit(cli.Run(command))
}
