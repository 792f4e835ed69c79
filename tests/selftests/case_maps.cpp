// SPDX-License-Identifier: BSD-3-Clause
//
// Values with a lock, a timer or kernel pointers are described by the small BTF below; its types
// are numbered from 1 in the order of kTypes.
#include "tests/selftests/case_maps.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <linux/bpf.h>
#include <linux/btf.h>

namespace crema::test {
namespace {

struct Value48 {
    std::uint32_t index;
    std::int32_t rest[11];
};

enum class Filling : std::uint8_t { none, value48 };

/// Types of the BTF blob below by number.
namespace value_type {
enum : std::uint32_t {
    integer = 1,
    spin_lock,
    locked_value,
    timer,
    timer_value,
    referenced,
    member,
    untrusted_tag,
    referenced_tag,
    member_tag,
    untrusted_pointer,
    referenced_pointer,
    member_pointer,
    pointers,
};
}  // namespace value_type

struct Kind {
    std::string_view name;
    std::uint32_t type;
    std::uint32_t key_bytes;
    std::uint32_t value_bytes;
    std::uint32_t entries;
    std::uint32_t flags = 0;
    std::uint32_t btf_value_type = 0;  // 0: without BTF
    Filling filling = Filling::none;
    bool holds_maps = false;
};

constexpr Kind kKinds[] = {
    {"hash_8b", BPF_MAP_TYPE_HASH, 8, 8, 1, BPF_F_NO_PREALLOC},
    {"hash_48b", BPF_MAP_TYPE_HASH, 8, sizeof(Value48), 1, BPF_F_NO_PREALLOC},
    {"hash_16b", BPF_MAP_TYPE_HASH, 8, 16, 1, BPF_F_NO_PREALLOC},
    {"array_48b", BPF_MAP_TYPE_ARRAY, 4, sizeof(Value48), 1, 0, 0, Filling::value48},
    {"sockmap", BPF_MAP_TYPE_SOCKMAP, 4, 4, 1},
    {"sockhash", BPF_MAP_TYPE_SOCKHASH, 4, 4, 1},
    {"xskmap", BPF_MAP_TYPE_XSKMAP, 4, 4, 1},
    {"stacktrace", BPF_MAP_TYPE_STACK_TRACE, 4, 8, 1},
    {"prog1", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4},
    {"prog2", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8},
    {"map_in_map", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, 0, 0, Filling::none, true},
    {"cgroup_storage", BPF_MAP_TYPE_CGROUP_STORAGE, sizeof(bpf_cgroup_storage_key), 64, 0},
    {"percpu_cgroup_storage", BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, sizeof(bpf_cgroup_storage_key),
     64, 0},
    {"spin_lock", BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, value_type::locked_value},
    {"array_ro", BPF_MAP_TYPE_ARRAY, 4, sizeof(Value48), 1, BPF_F_RDONLY_PROG, 0, Filling::value48},
    {"array_wo", BPF_MAP_TYPE_ARRAY, 4, sizeof(Value48), 1, BPF_F_WRONLY_PROG, 0, Filling::value48},
    {"array_small", BPF_MAP_TYPE_ARRAY, 4, 1, 1},
    {"sk_storage", BPF_MAP_TYPE_SK_STORAGE, 4, 8, 0, BPF_F_NO_PREALLOC, value_type::locked_value},
    {"event_output", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1},
    {"reuseport_array", BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 1},
    {"ringbuf", BPF_MAP_TYPE_RINGBUF, 0, 0, 4096},
    {"timer", BPF_MAP_TYPE_ARRAY, 4, 16, 1, 0, value_type::timer_value},
    {"kptr", BPF_MAP_TYPE_ARRAY, 4, 24, 1, 0, value_type::pointers},
};

/// Builds the strings of a BTF blob.
class Strings {
  public:
    std::uint32_t add(std::string_view text) {
        const auto at = static_cast<std::uint32_t>(bytes_.size());
        bytes_.insert(bytes_.end(), text.begin(), text.end());
        bytes_.push_back(0);
        return at;
    }

    [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

  private:
    std::vector<std::uint8_t> bytes_{0};
};

constexpr std::uint32_t info(std::uint32_t kind, std::uint32_t members) {
    return kind << 24U | members;
}

std::vector<std::uint8_t> value_types() {
    Strings names;
    std::vector<std::uint32_t> words;
    const auto type = [&](std::string_view name, std::uint32_t kind, std::uint32_t members,
                          std::uint32_t size_or_type) {
        words.insert(words.end(),
                     {name.empty() ? 0 : names.add(name), info(kind, members), size_or_type});
    };
    const auto member = [&](std::string_view name, std::uint32_t of, std::uint32_t bit) {
        words.insert(words.end(), {names.add(name), of, bit});
    };
    constexpr std::uint32_t kSigned32 = BTF_INT_SIGNED << 24U | 32U;
    type("int", BTF_KIND_INT, 0, 4);
    words.push_back(kSigned32);
    type("bpf_spin_lock", BTF_KIND_STRUCT, 1, 4);
    member("val", value_type::integer, 0);
    type("locked", BTF_KIND_STRUCT, 2, 8);
    member("count", value_type::integer, 0);
    member("lock", value_type::spin_lock, 32);
    type("bpf_timer", BTF_KIND_STRUCT, 0, 16);
    type("timed", BTF_KIND_STRUCT, 1, 16);
    member("timer", value_type::timer, 0);
    type("prog_test_ref_kfunc", BTF_KIND_STRUCT, 0, 0);
    type("prog_test_member", BTF_KIND_STRUCT, 0, 0);
    type("kptr_untrusted", BTF_KIND_TYPE_TAG, 0, value_type::referenced);
    type("kptr", BTF_KIND_TYPE_TAG, 0, value_type::referenced);
    type("kptr", BTF_KIND_TYPE_TAG, 0, value_type::member);
    type("", BTF_KIND_PTR, 0, value_type::untrusted_tag);
    type("", BTF_KIND_PTR, 0, value_type::referenced_tag);
    type("", BTF_KIND_PTR, 0, value_type::member_tag);
    type("pointers", BTF_KIND_STRUCT, 3, 24);
    member("untrusted", value_type::untrusted_pointer, 0);
    member("referenced", value_type::referenced_pointer, 64);
    member("member", value_type::member_pointer, 128);

    std::vector<std::uint8_t> bytes(words.size() * sizeof(std::uint32_t));
    std::memcpy(bytes.data(), words.data(), bytes.size());
    return btf_blob(bytes, names.bytes());
}

const Kind* kind_of(std::string_view name) {
    for (const Kind& kind : kKinds) {
        if (kind.name == name) {
            return &kind;
        }
    }
    return nullptr;
}

}  // namespace

Result<UniqueFd> make_case_map(BpfFace& face, std::string_view name) {
    const Kind* kind = kind_of(name);
    if (kind == nullptr) {
        return fail(EINVAL, "no map is called {}", name);
    }
    MapRequest request{.type = kind->type,
                       .key_bytes = kind->key_bytes,
                       .value_bytes = kind->value_bytes,
                       .entries = kind->entries,
                       .flags = kind->flags};
    UniqueFd btf;
    UniqueFd inner;
    if (kind->btf_value_type != 0) {
        const int fd = face.load_btf(value_types());
        if (fd < 0) {
            return fail(-fd, "types of map {}: {}", name, std::strerror(-fd));
        }
        btf.reset(fd);
        request.btf = fd;
        request.btf_key_type = value_type::integer;
        request.btf_value_type = kind->btf_value_type;
    }
    if (kind->holds_maps) {
        const int fd = face.create_map(
            {.type = BPF_MAP_TYPE_ARRAY, .key_bytes = 4, .value_bytes = 4, .entries = 1});
        if (fd < 0) {
            return fail(-fd, "inner map of {}: {}", name, std::strerror(-fd));
        }
        inner.reset(fd);
        request.inner_map = fd;
    }
    const int fd = face.create_map(request);
    if (fd < 0) {
        return fail(-fd, "map {}: {}", name, std::strerror(-fd));
    }
    UniqueFd map(fd);
    if (kind->filling == Filling::value48) {
        Value48 value{.index = 7 * sizeof(std::int32_t), .rest = {}};
        value.rest[6] = static_cast<std::int32_t>(0xabcdef12);
        const std::uint32_t key = 0;
        if (const int error = face.update(map.get(), &key, &value); error < 0) {
            return fail(-error, "value of map {}: {}", name, std::strerror(-error));
        }
    }
    return map;
}

}  // namespace crema::test
