// SPDX-License-Identifier: BSD-3-Clause
//
// What --vdev net_neta0,... may say about a port. Unknown keys, doubled keys (but for xdp) and
// values that make no sense are refused with one line that names them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rte_ether.h>

#include "lib/base/result.h"
#include "lib/neta/sequences.h"
#include "lib/vfio/device.h"

namespace crema::neta_pmd {

/// The largest limit that the device tree's property may name.
inline constexpr std::uint32_t kTxCsumLimitMax = 9800;

inline constexpr std::uint32_t kPhyAddressMax = 31;

struct Devargs {
    std::string device = "model";  // as vfio::open() takes it
    std::string wire{};            // of the model; empty: null
    std::string engine{};          // of the model: "inline" or "thread[:CPU]"
    std::string cache{};           // of the model: "coherent", "noncoherent", "evicting[:SEED]"
    std::string faults{};          // of the model: KIND[=ONE_IN]:...
    std::string variant{};         // of the model: "3700", "38x", "xp", "370"
    std::string clock{};           // of the model: Hz
    vfio::KernelArgs kernel{};     // of the kernel's VFIO
    neta::Windows windows = neta::Windows::open;
    std::vector<std::string> xdp{};       // OBJECT[:PROGRAM] each, to attach when the port exists
    std::optional<std::uint32_t> phy{};   // address of a PHY at the port's SMI register
    std::optional<std::uint32_t> pool{};  // pages per RX queue
    std::optional<rte_ether_addr> mac{};
    std::optional<std::uint32_t> tx_csum_limit{};  // bytes, as the device tree's property
};

/// The keys, for RTE_PMD_REGISTER_PARAM_STRING and messages.
#define CREMA_NETA_DEVARGS                                                                 \
    "device=model|user:SOCKET|platform:NAME|pci:BDF wire=WIRE engine=inline|thread[:CPU] " \
    "cache=coherent|noncoherent|evicting[:SEED] faults=KIND[=ONE_IN]:... "                 \
    "variant=3700|38x|xp|370 clock=HZ vfio=group|iommufd allow-noiommu=1 pool=PAGES "      \
    "mac=XX:XX:XX:XX:XX:XX xdp=OBJECT[:PROGRAM],xdp=... tx-csum-limit=BYTES phy=ADDRESS "  \
    "windows=open|keep"

/// text: what follows the vdev's name; may be null. Errors: EINVAL.
[[nodiscard]] Result<Devargs> parse_devargs(const char* port_name, const char* text);

}  // namespace crema::neta_pmd
