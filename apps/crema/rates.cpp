// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/rates.h"

#include <algorithm>
#include <array>

namespace crema::command {
namespace {

using Json = nlohmann::ordered_json;

/// What makes elements of a list the same thing at two moments. In this order: entries of maps have
/// a key and an ifindex.
constexpr std::array<std::string_view, 7> kIdentities = {"port", "key",   "id", "cpu",
                                                         "name", "lcore", "via"};

constexpr std::array<std::string_view, 25> kNoCounters = {
    "seconds",     "port",        "ifindex",    "speed_mbps",      "mtu",       "lcore",
    "cpu",         "id",          "program_id", "map_id",          "key",       "key_bytes",
    "value_bytes", "max_entries", "queue_size", "pages",           "in_flight", "act",
    "err",         "queue",       "unix_ns",    "buffers_missing", "prio",      "map_ids",
    "queues"};

const Json* same_thing(const Json& list, const Json& wanted, std::size_t place) {
    if (!wanted.is_object()) {
        return place < list.size() ? &list[place] : nullptr;
    }
    for (const std::string_view name : kIdentities) {
        const auto identity = wanted.find(name);
        if (identity == wanted.end()) {
            continue;
        }
        const auto found = std::find_if(list.begin(), list.end(), [&](const Json& each) {
            const auto other = each.is_object() ? each.find(name) : each.end();
            return each.is_object() && other != each.end() && *other == *identity;
        });
        return found != list.end() ? &*found : nullptr;
    }
    return place < list.size() ? &list[place] : nullptr;
}

double growth(const Json* before, const Json& now, double seconds) {
    const double end = now.get<double>();
    const double start = before != nullptr && before->is_number() ? before->get<double>() : 0;
    return (start <= end ? end - start : end) / seconds;
}

Json rates(const Json* before, const Json& now, double seconds) {
    if (now.is_array()) {
        Json list = Json::array();
        for (std::size_t i = 0; i < now.size(); ++i) {
            const Json* const then =
                before != nullptr && before->is_array() ? same_thing(*before, now[i], i) : nullptr;
            list.push_back(rates(then, now[i], seconds));
        }
        return list;
    }
    if (!now.is_object()) {
        return now;
    }
    Json object = Json::object();
    for (const auto& [name, value] : now.items()) {
        const Json* then = nullptr;
        if (before != nullptr && before->is_object() && before->contains(name)) {
            then = &(*before)[name];
        }
        object[name] = value.is_number() && is_counter(name) ? Json(growth(then, value, seconds))
                                                             : rates(then, value, seconds);
    }
    return object;
}

}  // namespace

bool is_counter(std::string_view name) {
    return std::ranges::find(kNoCounters, name) == kNoCounters.end();
}

Json rates_of(const Json& before, const Json& now, double seconds) {
    return rates(&before, now, seconds);
}

}  // namespace crema::command
