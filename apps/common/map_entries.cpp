// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/map_entries.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <mutex>
#include <utility>

#include "lib/ebpf/syscall/element_lock.h"
#include "lib/ebpf/syscall/session.h"

namespace crema::app {
namespace {

using ebpf::maps::Map;
using ebpf::maps::MapType;
using Bytes = std::vector<std::uint8_t>;

constexpr std::string_view kHex = "hex:";

bool is_device_map(MapType type) {
    return type == MapType::devmap || type == MapType::devmap_hash;
}

bool is_per_cpu(MapType type) {
    return type == MapType::percpu_array || type == MapType::percpu_hash ||
           type == MapType::lru_percpu_hash;
}

Result<Bytes> hex_bytes(std::string_view digits, std::uint32_t bytes) {
    Bytes out(bytes);
    if (digits.size() != 2 * std::size_t{bytes}) {
        return fail(EINVAL, "'{}{}' is not {} bytes", kHex, digits, bytes);
    }
    for (std::uint32_t i = 0; i < bytes; ++i) {
        const char* const from = digits.data() + 2 * i;
        const auto [end, error] = std::from_chars(from, from + 2, out[i], 16);
        if (error != std::errc{} || end != from + 2) {
            return fail(EINVAL, "'{}{}' is no row of hexadecimal bytes", kHex, digits);
        }
    }
    return out;
}

}  // namespace

Result<std::vector<std::uint8_t>> bytes_of(std::string_view text, std::uint32_t bytes) {
    if (text.starts_with(kHex)) {
        return hex_bytes(text.substr(kHex.size()), bytes);
    }
    const auto value = integer_of(text);
    if (!value) {
        return fail(EINVAL, "'{}' is no number", text);
    }
    if (bytes > sizeof(*value)) {
        return fail(ENOTSUP, "entries of {} bytes cannot be set by a number: write {}...", bytes,
                    kHex);
    }
    if (bytes < sizeof(*value) && (*value >> (8 * bytes)) != 0) {
        return fail(EINVAL, "{} does not fit into {} bytes", text, bytes);
    }
    Bytes out(bytes);
    std::memcpy(out.data(), &*value, bytes);  // little endian, as every machine we run on
    return out;
}

namespace {

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

Result<ebpf::syscall::ProgramFd> open_program(const ebpf::loader::Object& object,
                                              std::string_view name) {
    const auto program = object.program(std::string(name));
    if (!program) {
        return forward_error(program);
    }
    return ebpf::syscall::ProgramFd::open(*program);
}

Status put(Map& map, const Bytes& key, const Bytes& value) {
    const std::lock_guard lock(ebpf::syscall::element_mutex());
    if (const int rc = map.update(key.data(), value.data(), ebpf::maps::kAny); rc != 0) {
        return fail(-rc, "refused: {}", std::strerror(-rc));
    }
    return {};
}

Result<std::uint32_t> target_number(MapType type,
                                    std::string_view text,
                                    const IfindexOf& ifindex_of) {
    if (is_device_map(type)) {
        return ifindex_of(text);
    }
    const auto size = integer_of(text);
    if (!size || *size == 0 || *size > UINT32_MAX) {
        return fail(EINVAL, "'{}' is no queue size", text);
    }
    return static_cast<std::uint32_t>(*size);
}

Status set_target(Map& map,
                  const Bytes& key,
                  std::string_view text,
                  const ebpf::loader::Object& object,
                  const IfindexOf& ifindex_of) {
    const auto [number, program_name] = split_program(text);
    const auto target = target_number(map.spec().type, number, ifindex_of);
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
        auto opened = open_program(object, program_name);
        if (!opened) {
            return forward_error(opened);
        }
        fd.emplace(std::move(*opened));
        value.program_fd = fd->get();
    }
    Bytes bytes(std::max<std::size_t>(sizeof(value), map.spec().value_size));
    std::memcpy(bytes.data(), &value, sizeof(value));
    return put(map, key, bytes);
}

Status set_program(Map& map,
                   const Bytes& key,
                   std::string_view name,
                   const ebpf::loader::Object& object) {
    const auto fd = open_program(object, name);
    if (!fd) {
        return forward_error(fd);
    }
    const std::int32_t number = fd->get();
    Bytes bytes(sizeof(number));
    std::memcpy(bytes.data(), &number, sizeof(number));
    return put(map, key, bytes);
}

Status set_bytes(Map& map, const Bytes& key, std::string_view text) {
    const auto one = bytes_of(text, map.spec().value_size);
    if (!one) {
        return forward_error(one);
    }
    Bytes value(map.user_value_bytes(), 0);
    const std::size_t stride =
        is_per_cpu(map.spec().type) ? (one->size() + 7) / 8 * 8 : value.size();
    for (std::size_t at = 0; stride != 0 && at + stride <= value.size(); at += stride) {
        std::copy(one->begin(), one->end(), value.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return put(map, key, value);
}

void print_bytes(std::string& out, const Bytes& bytes) {
    if (bytes.size() <= 8) {
        std::uint64_t number = 0;
        std::memcpy(&number, bytes.data(), bytes.size());
        fmt::format_to(std::back_inserter(out), "{}", number);
        return;
    }
    for (const std::uint8_t byte : bytes) {
        fmt::format_to(std::back_inserter(out), "{:02x}", byte);
    }
}

void print_target(std::string& out, const Map& map, const Bytes& value) {
    TargetValue target;
    std::memcpy(&target, value.data(), std::min(value.size(), sizeof(target)));
    fmt::format_to(std::back_inserter(out), " {} {}",
                   map.spec().type == MapType::cpumap ? "queue" : "ifindex", target.target);
    if (target.program_fd != 0) {
        fmt::format_to(std::back_inserter(out), " program {}", target.program_fd);
    }
}

}  // namespace

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

Result<MapSetting> MapSetting::parse(std::string_view text) {
    const auto equals = text.find('=');
    // The key may be hex:BYTES; a map's name holds no colon.
    const auto colon = text.substr(0, equals).find(':');
    if (equals == std::string_view::npos || colon == std::string_view::npos || colon == 0 ||
        colon + 1 == equals || equals + 1 == text.size()) {
        return fail(EINVAL, "'{}' is not of the form MAP:KEY=VALUE", text);
    }
    return MapSetting{.map = std::string(text.substr(0, colon)),
                      .key = std::string(text.substr(colon + 1, equals - colon - 1)),
                      .value = std::string(text.substr(equals + 1))};
}

std::string MapSetting::text() const {
    return fmt::format("{}:{}={}", map, key, value);
}

Status set_entry(Map& map,
                 const MapSetting& setting,
                 const ebpf::loader::Object& object,
                 const IfindexOf& ifindex_of) {
    const auto key = bytes_of(setting.key, map.spec().key_size);
    if (!key) {
        return forward_error(key);
    }
    const MapType type = map.spec().type;
    if (is_device_map(type) || type == MapType::cpumap) {
        return set_target(map, *key, setting.value, object, ifindex_of);
    }
    if (type == MapType::prog_array) {
        return set_program(map, *key, setting.value, object);
    }
    return set_bytes(map, *key, setting.value);
}

std::vector<MapEntry> entries_of(Map& map) {
    std::vector<MapEntry> entries;
    const std::uint32_t size = map.spec().value_size;
    const bool per_cpu = is_per_cpu(map.spec().type);
    const std::size_t stride = per_cpu ? (std::size_t{size} + 7) / 8 * 8 : size;
    Bytes key(map.spec().key_size);
    Bytes next(key.size());
    Bytes value(std::max<std::uint32_t>(map.user_value_bytes(), 8));
    const void* from = nullptr;
    // A map that a program changes could be walked for ever; nobody has more keys than entries.
    for (std::uint64_t n = 0; n < map.spec().max_entries && !key.empty(); ++n) {
        const std::lock_guard lock(ebpf::syscall::element_mutex());
        if (map.next_key(from, next.data()) != 0) {
            break;
        }
        key = next;
        from = key.data();
        if (map.lookup(key.data(), value.data()) != 0) {
            continue;  // an empty slot
        }
        MapEntry entry{.key = key, .values = {}};
        const std::size_t bytes = per_cpu ? map.user_value_bytes() : stride;
        for (std::size_t at = 0; stride != 0 && at + stride <= bytes; at += stride) {
            const auto start = value.begin() + static_cast<std::ptrdiff_t>(at);
            entry.values.emplace_back(start, start + static_cast<std::ptrdiff_t>(size));
        }
        entries.push_back(std::move(entry));
    }
    return entries;
}

std::string contents(Map& map) {
    std::string out;
    for (const MapEntry& entry : entries_of(map)) {
        out += "  ";
        print_bytes(out, entry.key);
        out += ':';
        for (const Bytes& value : entry.values) {
            if (is_device_map(map.spec().type) || map.spec().type == MapType::cpumap) {
                print_target(out, map, value);
            } else {
                out += ' ';
                print_bytes(out, value);
            }
        }
        out += '\n';
    }
    return out;
}

}  // namespace crema::app
