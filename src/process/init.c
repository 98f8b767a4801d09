// Process 1 of the image: starts the program that it is called with, passes signals on to it, reaps what its children leave behind, and ends
// with its exit code. The kernel drops a signal for process 1 that has no handler yet, and Node needs up to seconds until it has one: a pod
// that is deleted in its first moments would run until the kubelet kills it. Here signals wait from the first instruction on.
// It also notes a crash of the program (a fault, an abort) with its time, for the next one to read, and lets it leave no core dump.
// Neighbours: Dockerfile (the entry point), ../sidecar/engine-crashes.ts (reads the notes), scripts/build/init.ts (compiles it), early-signals.ts (what Node hears before it has loaded).
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/** In a volume of the pod, which outlives the container. */
static const char *const crashes = "/tmp/portforward-crashes";

/** What ends a program by its own mistake. A kill from outside, for want of memory too, is none. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

static int fail(const char *what) {
  fprintf(stderr, "portforward-init: %s: %s\n", what, strerror(errno));
  return 127;
}

/** Becomes the program, in a process group of its own: a Ctrl-C on a terminal comes from there once, not a second time from us. */
static int become(char **program, const sigset_t *before) {
  // Without us nobody would pass signals on. In a namespace of its own it ends with process 1 anyway.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setpgid(0, 0);
  if (isatty(STDIN_FILENO)) {
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(STDIN_FILENO, getpgrp());
    signal(SIGTTOU, SIG_DFL);
  }
  sigprocmask(SIG_SETMASK, before, NULL);
  execvp(program[0], program);
  return fail(program[0]);
}

/** Keys and clients' bytes would lie on the node's disk. The kernel takes 1 as a refusal; with 0 it would still feed a program that core_pattern names. */
static void forbid_core_dumps(void) {
  const struct rlimit none = {1, 1};
  setrlimit(RLIMIT_CORE, &none);
}

/** Says it, because the program could not: the kubelet passes the line on. Then one line in the file, seconds since 1970, if it can be written. */
static void note_crash(int signal) {
  for (size_t at = 0; at < sizeof faults / sizeof *faults; at++) {
    if (faults[at] != signal) continue;
    fprintf(stderr, "portforward-init: the program crashed: %s\n", strsignal(signal));
    const int file = open(crashes, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return;
    dprintf(file, "%lld\n", (long long)time(NULL));
    close(file);
  }
}

/** The exit code of the program once it has ended, as a shell would say it; -1 while it runs. */
static int reap(pid_t program) {
  int status;
  int code = -1;
  for (pid_t ended = waitpid(-1, &status, WNOHANG); ended > 0; ended = waitpid(-1, &status, WNOHANG)) {
    if (ended != program) continue;
    if (WIFSIGNALED(status)) note_crash(WTERMSIG(status));
    code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return code;
}

int main(int count, char **words) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // A mistake of ours must end us, not wait.
  for (size_t at = 0; at < sizeof faults / sizeof *faults; at++) sigdelset(&all, faults[at]);
  sigprocmask(SIG_SETMASK, &all, &before);
  if (count < 2) {
    fprintf(stderr, "portforward-init: call it with a program\n");
    return 2;
  }
  forbid_core_dumps();
  const pid_t program = fork();
  if (program < 0) return fail("fork");
  if (program == 0) return become(words + 1, &before);
  for (;;) {
    const int heard = sigwaitinfo(&all, NULL);
    if (heard == SIGCHLD) {
      const int code = reap(program);
      if (code >= 0) return code;
    } else if (heard > 0) {
      kill(program, heard);
    }
  }
}
