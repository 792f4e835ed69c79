// SPDX-License-Identifier: BSD-3-Clause
//
// Parses device arguments. rte_kvargs splits key=value pairs; what the values mean is checked here
// or, for device, wire and xdp, by the room that uses them.
#include "drivers/net/neta/devargs.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include <rte_kvargs.h>

namespace crema::neta_pmd {
namespace {

struct Context {
    const char* port_name;
    Devargs args{};
    std::uint32_t seen = 0;  // one bit per key
    Status status{};
};

constexpr std::array kKeys = {"device", "wire", "engine", "xdp", "pool", "mac"};

Status set_pool(Context& context, std::string_view value) {
    std::uint32_t pages = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), pages);
    if (error != std::errc{} || end != value.data() + value.size() || pages == 0) {
        return fail(EINVAL, "{}: pool={}: want a number of pages", context.port_name, value);
    }
    context.args.pool = pages;
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
        default:
            return set_mac(context, value);
    }
}

int take_pair(const char* key, const char* value, void* opaque) {
    auto& context = *static_cast<Context*>(opaque);
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
        if (std::strcmp(key, kKeys.at(i)) == 0) {
            context.status = set_value(context, i, value);
            return context.status ? 0 : -1;
        }
    }
    context.status = fail(EINVAL, "{}: unknown argument '{}'; known: {}", context.port_name, key,
                          CREMA_NETA_DEVARGS);
    return -1;
}

struct FreeKvargs {
    void operator()(rte_kvargs* list) const { rte_kvargs_free(list); }
};

}  // namespace

Result<Devargs> parse_devargs(const char* port_name, const char* text) {
    Context context{.port_name = port_name};
    if (text == nullptr || *text == '\0') {
        return context.args;
    }
    const std::unique_ptr<rte_kvargs, FreeKvargs> pairs(rte_kvargs_parse(text, nullptr));
    if (pairs == nullptr) {
        return fail(EINVAL, "{}: cannot read arguments '{}'; want key=value,...: {}", port_name,
                    text, CREMA_NETA_DEVARGS);
    }
    if (rte_kvargs_process(pairs.get(), nullptr, take_pair, &context) != 0) {
        return forward_error(context.status);
    }
    return context.args;
}

}  // namespace crema::neta_pmd
