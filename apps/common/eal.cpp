// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/eal.h"

#include <cerrno>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_pdump.h>

namespace crema::app {

CommandLine split_command_line(int argc, char** argv) {
    CommandLine line;
    bool is_eal = true;
    for (int i = 0; i < argc; ++i) {
        const std::string word = argv[i];
        if (is_eal && i > 0 && word == "--") {
            is_eal = false;
            continue;
        }
        (is_eal ? line.eal : line.program).push_back(word);
    }
    return line;
}

std::vector<std::string> vdev_names(const std::vector<std::string>& eal_words) {
    constexpr std::string_view kOption = "--vdev";
    std::vector<std::string> names;
    for (std::size_t i = 0; i < eal_words.size(); ++i) {
        std::string_view word = eal_words[i];
        if (word == kOption && i + 1 < eal_words.size()) {
            word = eal_words[++i];
        } else if (word.starts_with(kOption) && word.size() > kOption.size() &&
                   word[kOption.size()] == '=') {
            word.remove_prefix(kOption.size() + 1);
        } else {
            continue;
        }
        names.emplace_back(word.substr(0, word.find(',')));
    }
    return names;
}

Status start_eal(const std::vector<std::string>& words) {
    std::vector<std::string> copies = words;
    std::vector<char*> argv;
    argv.reserve(copies.size() + 1);
    for (std::string& word : copies) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    if (rte_eal_init(static_cast<int>(copies.size()), argv.data()) < 0) {
        return fail(rte_errno, "EAL: cannot start: {} (the lines above say more)",
                    rte_strerror(rte_errno));
    }
    // For dpdk-dumpcap. Without shared files, as with --no-shconf, nobody can ask and this does
    // nothing.
    if (rte_pdump_init() != 0) {
        return fail(rte_errno, "captures cannot be served: {}", rte_strerror(rte_errno));
    }
    for (const std::string& name : vdev_names(words)) {
        if (!name.starts_with("net_") && !name.starts_with("eth_")) {
            continue;  // no ethdev: a crypto or event device, say
        }
        std::uint16_t port_id = 0;
        if (rte_eth_dev_get_port_by_name(name.c_str(), &port_id) != 0) {
            return fail(ENODEV, "device {} could not be opened (the lines above say why)", name);
        }
    }
    return {};
}

void end_eal() {
    const char* const known = rte_eal_get_runtime_dir();
    const std::string folder = known == nullptr ? "" : known;
    (void)rte_pdump_uninit();  // without the EAL it finds nothing to do
    (void)rte_eal_cleanup();
    if (!folder.empty()) {
        (void)rmdir(folder.c_str());  // fails, as it should, when another process has files there
    }
}

}  // namespace crema::app
