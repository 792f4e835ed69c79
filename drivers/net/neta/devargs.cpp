// SPDX-License-Identifier: BSD-3-Clause
//
// Parses device arguments, key=value pairs with commas between. What the values mean is checked
// here or, for device, wire and xdp, by the room that uses them. Not by rte_kvargs: it ends a value
// at the next '=', and wires have their own (gen:rate=1000).
#include "drivers/net/neta/devargs.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <string>
#include <string_view>

namespace crema::neta_pmd {
namespace {

struct Context {
    const char* port_name;
    Devargs args{};
    std::uint32_t seen = 0;  // one bit per key
};

std::optional<std::uint32_t> number_of(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

Status set_pool(Context& context, const char* value) {
    context.args.pool = number_of(value);
    if (context.args.pool.value_or(0) == 0) {
        return fail(EINVAL, "{}: pool={}: want a number of pages", context.port_name, value);
    }
    return {};
}

Status set_tx_csum_limit(Context& context, const char* value) {
    context.args.tx_csum_limit = number_of(value);
    if (context.args.tx_csum_limit.value_or(UINT32_MAX) > kTxCsumLimitMax) {
        return fail(EINVAL, "{}: tx-csum-limit={}: want a number of bytes, at most {}",
                    context.port_name, value, kTxCsumLimitMax);
    }
    return {};
}

Status set_phy(Context& context, const char* value) {
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

Status set_allow_noiommu(Context& context, const char* text) {
    const std::string_view value = text;
    if (value != "0" && value != "1") {
        return fail(EINVAL, "{}: allow-noiommu={}: want 0 or 1", context.port_name, value);
    }
    context.args.kernel.allow_noiommu = value == "1";
    return {};
}

Status set_windows(Context& context, const char* text) {
    const std::string_view value = text;
    if (value != "open" && value != "keep") {
        return fail(EINVAL, "{}: windows={}: want open or keep", context.port_name, value);
    }
    context.args.windows = value == "keep" ? neta::Windows::keep : neta::Windows::open;
    return {};
}

/// Takes the value as it is; whoever uses it knows what is right.
template <auto kMember>
Status set_text(Context& context, const char* value) {
    context.args.*kMember = value;
    return {};
}

Status set_vfio(Context& context, const char* value) {
    context.args.kernel.interface = value;
    return {};
}

/// As often as there are programs.
Status add_program(Context& context, const char* value) {
    context.args.xdp.emplace_back(value);
    return {};
}

struct Key {
    std::string_view name;
    Status (*set)(Context& context, const char* value);
    bool repeats = false;
};

constexpr Key kKeys[] = {
    {"device", set_text<&Devargs::device>},
    {"wire", set_text<&Devargs::wire>},
    {"engine", set_text<&Devargs::engine>},
    {"variant", set_text<&Devargs::variant>},
    {"clock", set_text<&Devargs::clock>},
    {"cache", set_text<&Devargs::cache>},
    {"faults", set_text<&Devargs::faults>},
    {"xdp", add_program, true},
    {"vfio", set_vfio},
    {"allow-noiommu", set_allow_noiommu},
    {"pool", set_pool},
    {"mac", set_mac},
    {"phy", set_phy},
    {"tx-csum-limit", set_tx_csum_limit},
    {"windows", set_windows},
};

Status take_pair(Context& context, std::string_view name, const char* value) {
    const auto* const key = std::ranges::find(kKeys, name, &Key::name);
    if (key == std::end(kKeys)) {
        return fail(EINVAL, "{}: unknown argument '{}'; known: {}", context.port_name, name,
                    CREMA_NETA_DEVARGS);
    }
    const std::uint32_t own = 1U << static_cast<unsigned>(key - kKeys);
    if ((context.seen & own) != 0 && !key->repeats) {
        return fail(EINVAL, "{}: {}= is given twice", context.port_name, name);
    }
    context.seen |= own;
    if (value == nullptr || *value == '\0') {
        return fail(EINVAL, "{}: {}= has no value", context.port_name, name);
    }
    return key->set(context, value);
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
