// SPDX-License-Identifier: BSD-3-Clause
//
// CLI11 throws; no exception leaves this file.
#include "apps/neta-model/options.h"

#include <CLI/CLI.hpp>

#include "apps/common/exit_code.h"

namespace crema::neta_model {
namespace {

constexpr char kAbout[] =
    "crema-neta-model --socket PATH [options]\n"
    "A NETA port in software that other processes drive by vfio-user: our driver\n"
    "(--vdev net_neta0,device=user:PATH), or a guest of QEMU (vfio-user-pci, with --pci).";

constexpr char kFooter[] =
    "One client at a time; the port is as after power-on for the next one.\n"
    "Exit code: 0 ended by SIGINT or SIGTERM, 1 failed, 2 wrong usage.";

}  // namespace

tl::expected<Options, Early> parse_options(const std::vector<std::string>& words) {
    Options options;
    CLI::App app{kAbout};
    app.footer(kFooter);
    app.add_option("--socket", options.socket, "where to listen; the file is made, and removed")
        ->required();
    app.add_option("--wire", options.wire,
                   "null, loop, gen[:...], pcap:IN[:OUT], tap:IFNAME or packet:IFNAME")
        ->capture_default_str();
    app.add_option("--variant", options.variant, "which SoC: 3700 (default), 38x, xp or 370");
    app.add_option("--clock", options.clock, "core clock in Hz, that times are counted in");
    app.add_option(
           "--faults", options.faults,
           "KIND[=ONE_IN][:...][:seed=N]: faults to commit by chance: late, interrupt, status, "
           "link, dma or all")
        ->capture_default_str();
    app.add_option("--name", options.name, "in messages; the address at power-on follows from it")
        ->capture_default_str();
    app.add_flag("--pci", options.pci, "as a PCI function (BAR 0, INTx), which QEMU wants");
    app.set_version_flag("--version", "crema-neta-model 0.1.0");
    try {
        std::vector<std::string> reversed(words.rbegin(), words.rend());  // CLI11 wants it so
        app.parse(reversed);
    } catch (const CLI::CallForHelp&) {
        return tl::unexpected(Early{app::kDone, app.help()});
    } catch (const CLI::CallForVersion&) {
        return tl::unexpected(Early{app::kDone, app.version() + "\n"});
    } catch (const CLI::Error& error) {
        return tl::unexpected(Early{app::kUsage, std::string("crema-neta-model: ") + error.what()});
    }
    return options;
}

}  // namespace crema::neta_model
