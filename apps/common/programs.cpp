// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/programs.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include <rte_errno.h>
#include <rte_ethdev.h>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/attach.h"

namespace crema::app {
namespace {

using ebpf::maps::Map;
using ebpf::maps::MapType;

std::optional<std::uint64_t> integer_of(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
        base = 16;
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

/// As written in --map.
std::string text_of(const MapSetting& setting) {
    return fmt::format("{}:{}={}", setting.map, setting.key, setting.value);
}

/// An integer in `bytes` bytes of host order, zero-extended. EINVAL: does not fit.
Status put_integer(std::string_view text, std::uint32_t bytes, std::uint8_t* out) {
    const auto value = integer_of(text);
    if (!value) {
        return fail(EINVAL, "'{}' is no number", text);
    }
    if (bytes > sizeof(*value)) {
        return fail(ENOTSUP, "entries of {} bytes cannot be set by a number", bytes);
    }
    if (bytes < sizeof(*value) && (*value >> (8 * bytes)) != 0) {
        return fail(EINVAL, "{} does not fit into {} bytes", text, bytes);
    }
    std::memcpy(out, &*value, bytes);  // little endian, as every machine we run on
    return {};
}

/// What the kernel's struct bpf_devmap_val and struct bpf_cpumap_val look like.
struct TargetValue {
    std::uint32_t target = 0;  // ifindex or queue size
    std::int32_t program_fd = 0;
};

/// "VALUE" or "VALUE@PROGRAM": the second part.
std::pair<std::string_view, std::string_view> split_program(std::string_view text) {
    const auto at = text.find('@');
    return at == std::string_view::npos ? std::pair{text, std::string_view{}}
                                        : std::pair{text.substr(0, at), text.substr(at + 1)};
}

Result<std::uint32_t> target_number(MapType type, std::string_view text) {
    if (type != MapType::cpumap) {
        const auto port = port_of(text);
        if (!port) {
            return forward_error(port);
        }
        return xdp::ifindex_of(*port);
    }
    const auto size = integer_of(text);
    if (!size || *size == 0 || *size > UINT32_MAX) {
        return fail(EINVAL, "'{}' is no queue size", text);
    }
    return static_cast<std::uint32_t>(*size);
}

Status set_target(Map& map,
                  const void* key,
                  std::string_view text,
                  const ebpf::loader::Object& object) {
    const auto [number, program_name] = split_program(text);
    const auto target = target_number(map.spec().type, number);
    if (!target) {
        return forward_error(target);
    }
    TargetValue value = {.target = *target};
    std::optional<ebpf::syscall::ProgramFd> fd;
    if (!program_name.empty()) {
        if (map.spec().value_size < sizeof(TargetValue)) {
            return fail(EINVAL, "its values of {} bytes have no place for a program",
                        map.spec().value_size);
        }
        const auto program = object.program(std::string(program_name));
        if (!program) {
            return forward_error(program);
        }
        auto opened = ebpf::syscall::ProgramFd::open(*program);
        if (!opened) {
            return forward_error(opened);
        }
        fd.emplace(std::move(*opened));
        value.program_fd = fd->get();
    }
    std::array<std::uint8_t, sizeof(value)> bytes{};
    std::memcpy(bytes.data(), &value, sizeof(value));
    if (const int rc = map.update(key, bytes.data(), ebpf::maps::kAny); rc != 0) {
        return fail(-rc, "refused: {}", rte_strerror(-rc));
    }
    return {};
}

Status set_number(Map& map, const void* key, std::string_view text) {
    const std::uint32_t value_size = map.spec().value_size;
    std::vector<std::uint8_t> value(map.user_value_bytes(), 0);
    const std::uint32_t stride = map.spec().type == MapType::percpu_array ? (value_size + 7) / 8 * 8
                                                                          : map.user_value_bytes();
    for (std::size_t at = 0; at + stride <= value.size(); at += stride) {
        if (Status put = put_integer(text, value_size, &value[at]); !put) {
            return put;
        }
    }
    if (const int rc = map.update(key, value.data(), ebpf::maps::kAny); rc != 0) {
        return fail(-rc, "refused: {}", rte_strerror(-rc));
    }
    return {};
}

Status set_entry(Map& map, const MapSetting& setting, const ebpf::loader::Object& object) {
    std::array<std::uint8_t, 8> key{};
    if (Status put = put_integer(setting.key, map.spec().key_size, key.data()); !put) {
        return put;
    }
    switch (map.spec().type) {
        case MapType::devmap:
        case MapType::devmap_hash:
        case MapType::cpumap:
            return set_target(map, key.data(), setting.value, object);
        case MapType::array:
        case MapType::percpu_array:
            return set_number(map, key.data(), setting.value);
    }
    return fail(ENOTSUP, "maps of this type cannot be set");
}

void print_value(std::string& out, const std::uint8_t* bytes, std::uint32_t n) {
    if (n <= 8) {
        std::uint64_t value = 0;
        std::memcpy(&value, bytes, n);
        fmt::format_to(std::back_inserter(out), " {}", value);
        return;
    }
    out += ' ';
    for (std::uint32_t i = 0; i < n; ++i) {
        fmt::format_to(std::back_inserter(out), "{:02x}", bytes[i]);
    }
}

void print_entry(std::string& out, const Map& map, std::uint64_t key, const std::uint8_t* value) {
    fmt::format_to(std::back_inserter(out), "  {}:", key);
    const std::uint32_t size = map.spec().value_size;
    switch (map.spec().type) {
        case MapType::percpu_array:
            for (std::uint32_t at = 0; at < map.user_value_bytes(); at += (size + 7) / 8 * 8) {
                print_value(out, value + at, size);
            }
            break;
        case MapType::devmap:
        case MapType::devmap_hash:
        case MapType::cpumap: {
            TargetValue target;
            std::memcpy(&target, value, std::min<std::size_t>(size, sizeof(target)));
            fmt::format_to(std::back_inserter(out), " {} {}",
                           map.spec().type == MapType::cpumap ? "queue" : "ifindex", target.target);
            if (target.program_fd != 0) {
                fmt::format_to(std::back_inserter(out), " program {}", target.program_fd);
            }
            break;
        }
        case MapType::array:
            print_value(out, value, size);
            break;
    }
    out += '\n';
}

std::string contents(Map& map) {
    std::string out;
    std::array<std::uint8_t, 8> key{};
    std::array<std::uint8_t, 8> next{};
    std::vector<std::uint8_t> value(std::max<std::uint32_t>(map.user_value_bytes(), 8));
    const void* from = nullptr;
    while (map.next_key(from, next.data()) == 0) {
        key = next;
        from = key.data();
        if (map.lookup(key.data(), value.data()) != 0) {
            continue;  // an empty slot
        }
        std::uint64_t number = 0;
        std::memcpy(&number, key.data(), std::min<std::size_t>(map.spec().key_size, 8));
        print_entry(out, map, number, value.data());
    }
    return out;
}

}  // namespace

Result<ProgramSpec> ProgramSpec::parse(std::string_view text) {
    ProgramSpec spec;
    std::string_view rest = text;
    // A path may hold '=', a port's name may not hold '/'.
    const auto equals = rest.find('=');
    if (equals != std::string_view::npos && rest.find('/') > equals) {
        spec.port = std::string(rest.substr(0, equals));
        rest.remove_prefix(equals + 1);
    }
    const auto colon = rest.rfind(':');
    if (colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos) {
        spec.program = std::string(rest.substr(colon + 1));
        rest = rest.substr(0, colon);
    }
    spec.object = std::string(rest);
    if (spec.object.empty() || (spec.port && spec.port->empty())) {
        return fail(EINVAL, "'{}' is not of the form [PORT=]OBJECT[:PROGRAM]", text);
    }
    return spec;
}

Result<MapSetting> MapSetting::parse(std::string_view text) {
    const auto equals = text.find('=');
    const auto colon = text.rfind(':', equals);
    if (equals == std::string_view::npos || colon == std::string_view::npos || colon == 0 ||
        colon + 1 == equals || equals + 1 == text.size()) {
        return fail(EINVAL, "'{}' is not of the form MAP:KEY=VALUE", text);
    }
    return MapSetting{.map = std::string(text.substr(0, colon)),
                      .key = std::string(text.substr(colon + 1, equals - colon - 1)),
                      .value = std::string(text.substr(equals + 1))};
}

Result<std::uint16_t> port_of(std::string_view text) {
    if (const auto number = integer_of(text)) {
        if (*number >= RTE_MAX_ETHPORTS ||
            rte_eth_dev_is_valid_port(static_cast<std::uint16_t>(*number)) == 0) {
            return fail(ENODEV, "port {} does not exist", text);
        }
        return static_cast<std::uint16_t>(*number);
    }
    std::uint16_t port_id = 0;
    if (rte_eth_dev_get_port_by_name(std::string(text).c_str(), &port_id) != 0) {
        return fail(ENODEV, "port '{}' does not exist", text);
    }
    return port_id;
}

Status Programs::apply(const MapSetting& setting, const Loaded& loaded) const {
    const auto map = loaded.object.map(setting.map);
    if (!map) {
        return {};  // meant for another object
    }
    if (const Status done = set_entry(**map, setting, loaded.object); !done) {
        return fail(done.error().code, "{}: map setting {}: {}", loaded.path, text_of(setting),
                    done.error().message);
    }
    return {};
}

Status Programs::attach(const ProgramSpec& spec, const std::vector<std::uint16_t>& ports) {
    auto object = ebpf::loader::Object::load(spec.object);
    if (!object) {
        return forward_error(object);
    }
    auto loaded = std::make_shared<Loaded>(Loaded{spec.object, std::move(*object)});
    const auto program = loaded->object.program(spec.program);
    if (!program) {
        return forward_error(program);
    }
    for (const MapSetting& setting : settings_) {
        if (Status done = apply(setting, *loaded); !done) {
            return done;
        }
    }
    for (const std::uint16_t port : ports) {
        if (Status done = xdp::attach(port, *program); !done) {
            return done;
        }
        ports_[port] = {.loaded = loaded, .program = (*program)->program.name};
    }
    return {};
}

Status Programs::detach(std::uint16_t port_id) {
    Status done = xdp::detach(port_id);
    if (done) {
        ports_.erase(port_id);
    }
    return done;
}

void Programs::detach_all() {
    while (!ports_.empty()) {
        // A port that is gone has no program any more.
        (void)xdp::detach(ports_.begin()->first);
        ports_.erase(ports_.begin());
    }
}

std::vector<std::shared_ptr<Programs::Loaded>> Programs::loaded() const {
    std::vector<std::shared_ptr<Loaded>> all;
    for (const auto& [port, own] : ports_) {
        if (std::find(all.begin(), all.end(), own.loaded) == all.end()) {
            all.push_back(own.loaded);
        }
    }
    return all;
}

Status Programs::set(const MapSetting& setting) {
    bool found = false;
    for (const auto& each : loaded()) {
        found = found || each->object.map(setting.map).has_value();
        if (Status done = apply(setting, *each); !done) {
            return done;
        }
    }
    if (!found) {
        return fail(ENOENT, "map setting {}: no loaded object has a map of that name",
                    text_of(setting));
    }
    keep(setting);
    return {};
}

Status Programs::check_settings() const {
    const auto all = loaded();
    for (const MapSetting& setting : settings_) {
        const bool found = std::any_of(all.begin(), all.end(), [&](const auto& each) {
            return each->object.map(setting.map).has_value();
        });
        if (!found) {
            return fail(ENOENT, "map setting {}: no loaded object has a map of that name",
                        text_of(setting));
        }
    }
    return {};
}

Result<std::string> Programs::dump(const std::string& map) const {
    std::string out;
    bool found = false;
    for (const auto& each : loaded()) {
        if (const auto own = each->object.map(map)) {
            found = true;
            fmt::format_to(std::back_inserter(out), "{} ({}):\n", map, each->path);
            out += contents(**own);
        }
    }
    if (!found) {
        return fail(ENOENT, "map {}: no loaded object has a map of that name", map);
    }
    return out;
}

std::string Programs::name_on(std::uint16_t port_id) const {
    const auto found = ports_.find(port_id);
    return found == ports_.end()
               ? std::string{}
               : fmt::format("{}:{}", found->second.loaded->path, found->second.program);
}

}  // namespace crema::app
