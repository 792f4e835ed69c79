// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/signals.h"

#include <csignal>

namespace crema::app {
namespace {

volatile std::sig_atomic_t g_signal = 0;

void note_signal(int number) {
    g_signal = number;
}

}  // namespace

void catch_end_signals() {
    struct sigaction action {};

    action.sa_handler = note_signal;
    action.sa_flags = SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, nullptr);
    (void)sigaction(SIGTERM, &action, nullptr);
    // A reader of our output that goes away must not kill a data path.
    (void)std::signal(SIGPIPE, SIG_IGN);
}

int end_signal() {
    return g_signal;
}

}  // namespace crema::app
