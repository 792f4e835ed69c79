// SPDX-License-Identifier: BSD-3-Clause
#include "apps/testpmd/pass_tap.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <net/if.h>

#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

namespace crema::testpmd {
namespace {

constexpr std::string_view kTap = "tap:";

bool is_interface_name(const std::string& name) {
    return !name.empty() && name.size() < IFNAMSIZ && std::ranges::all_of(name, [](char letter) {
        return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' ||
               letter == '-' || letter == '.';
    });
}

}  // namespace

Result<PassSetting> PassSetting::parse(const std::string& text) {
    PassSetting setting;
    std::string_view rest = text;
    if (const auto equals = rest.find('='); equals != std::string_view::npos) {
        setting.port = std::string(rest.substr(0, equals));
        rest.remove_prefix(equals + 1);
    }
    if (!rest.starts_with(kTap)) {
        return fail(EINVAL, "{}: want [PORT=]tap:NAME", text);
    }
    setting.interface = std::string(rest.substr(kTap.size()));
    if (!is_interface_name(setting.interface)) {
        return fail(EINVAL, "{}: '{}' is no name for an interface: up to {} letters, digits, _ - .",
                    text, setting.interface, IFNAMSIZ - 1);
    }
    return setting;
}

Result<std::unique_ptr<PassTap>> PassTap::make(std::uint16_t for_port,
                                               const std::string& interface) {
    if (::if_nametoindex(interface.c_str()) != 0) {
        return fail(EEXIST, "--pass tap:{}: there is an interface of that name; choose another one",
                    interface);
    }
    rte_ether_addr address{};
    if (const int rc = rte_eth_macaddr_get(for_port, &address); rc != 0) {
        return fail(-rc, "--pass tap:{}: port {} has no address: {}", interface, for_port,
                    rte_strerror(-rc));
    }
    std::array<char, RTE_ETHER_ADDR_FMT_SIZE> mac{};
    rte_ether_format_addr(mac.data(), mac.size(), &address);
    std::unique_ptr<PassTap> tap(new PassTap(for_port, fmt::format("net_tap_pass{}", for_port)));
    const std::string arguments = fmt::format("iface={},mac={}", interface, mac.data());
    if (const int rc = rte_vdev_init(tap->device_.c_str(), arguments.c_str()); rc != 0) {
        tap->device_.clear();
        return fail(rc < 0 ? -rc : EIO,
                    "--pass tap:{}: DPDK's net_tap cannot make it: {}; it needs CAP_NET_ADMIN and "
                    "/dev/net/tun",
                    interface, rte_strerror(rc < 0 ? -rc : EIO));
    }
    if (rte_eth_dev_get_port_by_name(tap->device_.c_str(), &tap->port_id_) != 0) {
        return fail(ENODEV, "--pass tap:{}: net_tap made no port", interface);
    }
    return tap;
}

PassTap::~PassTap() {
    if (!device_.empty()) {
        (void)rte_vdev_uninit(device_.c_str());
    }
}

}  // namespace crema::testpmd
