// SPDX-License-Identifier: BSD-3-Clause
//
// crema-neta-model: the device model in a process of its own. No EAL, no rights beyond those of its
// wire. What happens is in lib/vfio/user/server.h.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "apps/common/exit_code.h"
#include "apps/neta-model/options.h"
#include "lib/vfio/user/server.h"

namespace {

std::atomic<bool> g_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void ask_to_stop(int /*signal*/) {
    g_stop.store(true, std::memory_order_release);
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): memory that runs out ends the program
int main(int argc, char** argv) {
    using namespace crema;
    const auto options = neta_model::parse_options({argv + 1, argv + argc});
    if (!options) {
        const bool failed = options.error().exit_code != app::kDone;
        (void)std::fprintf(failed ? stderr : stdout, failed ? "%s\n" : "%s",
                           options.error().text.c_str());
        return options.error().exit_code;
    }

    struct sigaction action {};

    action.sa_handler = ask_to_stop;
    (void)sigaction(SIGINT, &action, nullptr);
    (void)sigaction(SIGTERM, &action, nullptr);
    const auto flavour = options->pci ? vfio::user::Flavour::pci : vfio::user::Flavour::plain;
    const auto server = vfio::user::Server::create(options->socket, flavour, "neta",
                                                   {.instance = options->name,
                                                    .wire = options->wire,
                                                    .engine = "",
                                                    .variant = options->variant,
                                                    .clock = options->clock,
                                                    .faults = options->faults});
    if (!server) {
        (void)std::fprintf(stderr, "crema-neta-model: %s\n", server.error().message.c_str());
        return app::kFailed;
    }
    (void)std::printf("crema-neta-model: serving %s, %s\n", options->socket.c_str(),
                      (*server)->describe().c_str());
    (void)std::fflush(stdout);
    (*server)->run(g_stop);
    return app::kDone;
}
