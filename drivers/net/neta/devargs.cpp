// SPDX-License-Identifier: BSD-3-Clause
//
// Parses device arguments, key=value pairs with commas between. What the values mean is checked
// here or, for device, wire and xdp, by the room that uses them. Not by rte_kvargs: it ends a value
// at the next '=', and wires have their own (gen:rate=1000).
#include "drivers/net/neta/devargs.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

namespace crema::neta_pmd {
namespace {

struct Context {
    const char* port_name;
    Devargs args{};
    std::uint32_t seen = 0;  // one bit per key
};

constexpr std::array kKeys = {"device", "wire",          "engine",        "xdp",   "pool",
                              "mac",    "tx-csum-limit", "variant",       "clock", "cache",
                              "faults", "vfio",          "allow-noiommu", "phy"};

std::optional<std::uint32_t> number_of(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

Status set_pool(Context& context, std::string_view value) {
    context.args.pool = number_of(value);
    if (context.args.pool.value_or(0) == 0) {
        return fail(EINVAL, "{}: pool={}: want a number of pages", context.port_name, value);
    }
    return {};
}

Status set_tx_csum_limit(Context& context, std::string_view value) {
    context.args.tx_csum_limit = number_of(value);
    if (context.args.tx_csum_limit.value_or(UINT32_MAX) > kTxCsumLimitMax) {
        return fail(EINVAL, "{}: tx-csum-limit={}: want a number of bytes, at most {}",
                    context.port_name, value, kTxCsumLimitMax);
    }
    return {};
}

Status set_phy(Context& context, std::string_view value) {
    context.args.phy = number_of(value);
    if (context.args.phy.value_or(UINT32_MAX) > kPhyAddressMax) {
        return fail(EINVAL, "{}: phy={}: want an address, at most {}", context.port_name, value,
                    kPhyAddressMax);
    }
    return {};
}

Status set_mac(Context& context, const char* value) {
    rte_ether_addr address{};
    if (rte_ether_unformat_addr(value, &address) != 0 ||
        rte_is_valid_assigned_ether_addr(&address) == 0) {
        return fail(EINVAL, "{}: mac={}: want a unicast address as 02:00:00:00:00:01",
                    context.port_name, value);
    }
    context.args.mac = address;
    return {};
}

Status set_allow_noiommu(Context& context, std::string_view value) {
    if (value != "0" && value != "1") {
        return fail(EINVAL, "{}: allow-noiommu={}: want 0 or 1", context.port_name, value);
    }
    context.args.kernel.allow_noiommu = value == "1";
    return {};
}

Status set_value(Context& context, std::size_t key, const char* value) {
    if ((context.seen & (1U << key)) != 0) {
        return fail(EINVAL, "{}: {}= is given twice", context.port_name, kKeys.at(key));
    }
    context.seen |= 1U << key;
    if (value == nullptr || *value == '\0') {
        return fail(EINVAL, "{}: {}= has no value", context.port_name, kKeys.at(key));
    }
    switch (key) {
        case 0:
            context.args.device = value;
            return {};
        case 1:
            context.args.wire = value;
            return {};
        case 2:
            context.args.engine = value;
            return {};
        case 3:
            context.args.xdp = value;
            return {};
        case 4:
            return set_pool(context, value);
        case 5:
            return set_mac(context, value);
        case 6:
            return set_tx_csum_limit(context, value);
        case 7:
            context.args.variant = value;
            return {};
        case 8:
            context.args.clock = value;
            return {};
        case 9:
            context.args.cache = value;
            return {};
        case 10:
            context.args.faults = value;
            return {};
        case 11:
            context.args.kernel.interface = value;
            return {};
        case 12:
            return set_allow_noiommu(context, value);
        default:
            return set_phy(context, value);
    }
}

Status take_pair(Context& context, const std::string& key, const char* value) {
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
        if (key == kKeys.at(i)) {
            return set_value(context, i, value);
        }
    }
    return fail(EINVAL, "{}: unknown argument '{}'; known: {}", context.port_name, key,
                CREMA_NETA_DEVARGS);
}

}  // namespace

Result<Devargs> parse_devargs(const char* port_name, const char* text) {
    Context context{.port_name = port_name};
    if (text == nullptr || *text == '\0') {
        return context.args;
    }
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string pair(rest.substr(0, rest.find(',')));
        rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
        const auto equals = pair.find('=');
        const char* const value = equals == std::string::npos ? nullptr : &pair[equals + 1];
        if (const Status taken = take_pair(context, pair.substr(0, equals), value); !taken) {
            return forward_error(taken);
        }
    }
    return context.args;
}

}  // namespace crema::neta_pmd
