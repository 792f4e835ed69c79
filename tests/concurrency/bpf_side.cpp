// SPDX-License-Identifier: BSD-3-Clause
#include "tests/concurrency/bpf_side.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>

#include <linux/bpf.h>

#include "lib/ebpf/syscall/serve.h"

namespace crema::test {

namespace {

using ebpf::maps::MapType;

constexpr std::uint32_t kKeys = 24, kBatch = 32;

// All that a command may say of a map that others change, and of what a type does not have.
constexpr std::array kErrors = {ENOENT,     EEXIST, E2BIG,  EBUSY,  ENOSPC,   EINVAL,
                                EOPNOTSUPP, EBADF,  ENODEV, EAGAIN, ENOTSOCK, 524 /* ENOTSUPP */};

std::uint64_t address(const void* memory) {
    return reinterpret_cast<std::uint64_t>(memory);
}

long call(int command, bpf_attr& attr) {
    return ebpf::syscall::serve(command, &attr, sizeof attr);
}

bool is_lru(MapType type) {
    return type == MapType::lru_hash || type == MapType::lru_percpu_hash;
}

}  // namespace

BpfSide::BpfSide(const BusyMap& busy, std::uint64_t seed)
    : busy_(busy),
      spec_(busy.map->spec()),
      random_(seed),
      value_bytes_(std::max(busy.map->user_value_bytes(), 8U)),
      key_(std::max(spec_.key_size, 8U)),
      value_(value_bytes_),
      keys_(std::size_t{kBatch} * key_.size()),
      values_(std::size_t{kBatch} * value_bytes_) {}

std::uint32_t BpfSide::dice(std::uint32_t sides) {
    return static_cast<std::uint32_t>(random_() % sides);
}

void BpfSide::make_key(std::uint8_t* to) {
    if (spec_.type != MapType::lpm_trie) {
        const std::uint32_t key = dice(kKeys);
        std::memcpy(to, &key, std::min<std::size_t>(spec_.key_size, sizeof key));
        return;
    }
    const std::uint32_t length = 8 + dice(25);
    const std::array<std::uint8_t, 4> bytes = {10, static_cast<std::uint8_t>(dice(2)),
                                               static_cast<std::uint8_t>(dice(2)),
                                               static_cast<std::uint8_t>(dice(4))};
    std::memcpy(to, &length, sizeof length);
    std::memcpy(to + sizeof length, bytes.data(), bytes.size());
}

void BpfSide::make_value(std::uint8_t* to) {
    if (!busy_.objects.empty()) {
        const int object = busy_.objects[dice(static_cast<std::uint32_t>(busy_.objects.size()))];
        std::memcpy(to, &object, sizeof object);
        return;
    }
    const std::uint64_t word = kWordTag << 32U | dice(1U << 31U);
    for (std::uint32_t at = 0; at + sizeof word <= value_bytes_; at += sizeof word) {
        std::memcpy(to + at, &word, sizeof word);
    }
}

bool BpfSide::judge(const char* what, long result) {
    if (result >= 0) {
        done_++;
        return true;
    }
    const auto error = static_cast<int>(-result);
    // Every element of an LRU map is being written at the moment.
    if (std::find(kErrors.begin(), kErrors.end(), error) != kErrors.end() ||
        (error == ENOMEM && is_lru(spec_.type))) {
        return true;
    }
    complaint_ = fmt::format("map {}: {} gives errno {}", spec_.name, what, error);
    return false;
}

bool BpfSide::values_are_whole(const std::uint8_t* value) {
    std::uint64_t first = 0;
    for (std::uint32_t at = busy_.words_from; at < busy_.words_to; at += sizeof first) {
        std::uint64_t word = 0;
        std::memcpy(&word, value + at, sizeof word);
        first = at == busy_.words_from ? word : first;
        if (!is_whole(word) || (busy_.locks && word != first)) {
            complaint_ =
                fmt::format("map {}: word {:#x} at byte {} of a value", spec_.name, word, at);
            return false;
        }
    }
    return true;
}

bool BpfSide::look_up() {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(busy_.fd);
    if (spec_.key_size != 0) {
        make_key(key_.data());
        attr.key = address(key_.data());
    }
    if (busy_.map->lookup_takes_value()) {
        make_value(value_.data());
    }
    attr.value = address(value_.data());
    attr.flags = busy_.locks ? std::uint64_t{BPF_F_LOCK} : 0;
    const long result = call(BPF_MAP_LOOKUP_ELEM, attr);
    return judge("lookup", result) && (result != 0 || values_are_whole(value_.data()));
}

bool BpfSide::update() {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(busy_.fd);
    if (spec_.key_size != 0) {
        make_key(key_.data());
        attr.key = address(key_.data());
    }
    make_value(value_.data());
    attr.value = address(value_.data());
    attr.flags = busy_.locks ? std::uint64_t{BPF_F_LOCK} : dice(3);
    return judge("update", call(BPF_MAP_UPDATE_ELEM, attr));
}

bool BpfSide::remove() {
    if (busy_.locks) {
        return look_up();  // who locks an element that is reused meanwhile gets another's
    }
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(busy_.fd);
    make_key(key_.data());
    attr.key = spec_.key_size != 0 ? address(key_.data()) : 0;
    return judge("delete", call(BPF_MAP_DELETE_ELEM, attr));
}

bool BpfSide::take() {
    if (busy_.locks) {
        return update();
    }
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(busy_.fd);
    make_key(key_.data());
    attr.key = spec_.key_size != 0 ? address(key_.data()) : 0;
    attr.value = address(value_.data());
    const long result = call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, attr);
    return judge("lookup and delete", result) && (result != 0 || values_are_whole(value_.data()));
}

bool BpfSide::iterate() {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(busy_.fd);
    // As a reader of a map that changes does it: a key that went starts over, so there is an end.
    for (std::uint32_t i = 0; i < 2 * kKeys; ++i) {
        attr.key = i == 0 ? 0 : address(key_.data());
        attr.next_key = address(key_.data());
        if (const long result = call(BPF_MAP_GET_NEXT_KEY, attr); result != 0) {
            return judge("next key", result);
        }
    }
    return true;
}

bool BpfSide::batch(int command) {
    bpf_attr attr{};
    std::array<std::uint8_t, 64> cursor{};
    attr.batch.map_fd = static_cast<std::uint32_t>(busy_.fd);
    attr.batch.keys = address(keys_.data());
    attr.batch.values = address(values_.data());
    attr.batch.count = 1 + dice(kBatch);
    const bool reads =
        command == BPF_MAP_LOOKUP_BATCH || command == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
    if (reads) {
        attr.batch.out_batch = address(cursor.data());
    } else {
        for (std::uint32_t i = 0; i < attr.batch.count; ++i) {
            make_key(keys_.data() + std::size_t{i} * spec_.key_size);
            make_value(values_.data() + std::size_t{i} * busy_.map->user_value_bytes());
        }
    }
    const long result = call(command, attr);
    if (!judge("a batch", result)) {
        return false;
    }
    const bool read = reads && (result == 0 || result == -ENOENT);
    for (std::uint32_t i = 0; read && i < attr.batch.count; ++i) {
        if (!values_are_whole(values_.data() + std::size_t{i} * busy_.map->user_value_bytes())) {
            return false;
        }
    }
    return true;
}

bool BpfSide::step() {
    switch (dice(busy_.locks ? 8 : 12)) {
        case 0:
        case 1:
        case 2:
            return look_up();
        case 3:
        case 4:
        case 5:
            return update();
        case 6:
            return remove();
        case 7:
            return dice(4) == 0 ? iterate() : take();
        case 8:
            return batch(BPF_MAP_LOOKUP_BATCH);
        case 9:
            return batch(BPF_MAP_LOOKUP_AND_DELETE_BATCH);
        case 10:
            return batch(BPF_MAP_UPDATE_BATCH);
        default:
            return batch(BPF_MAP_DELETE_BATCH);
    }
}

bool BpfSide::empties() {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(busy_.fd);
    std::uint32_t removed = 0;
    for (;;) {
        attr.key = 0;
        attr.next_key = address(key_.data());
        if (call(BPF_MAP_GET_NEXT_KEY, attr) != 0) {
            break;
        }
        attr.key = address(key_.data());
        attr.value = 0;
        const long result = call(BPF_MAP_DELETE_ELEM, attr);
        if (result != 0 || ++removed > spec_.max_entries) {
            complaint_ = fmt::format("map {}: key {} of {} entries: delete gives {}", spec_.name,
                                     removed, spec_.max_entries, result);
            return false;
        }
    }
    // All its elements are there to be used again.
    attr = {};
    attr.map_fd = static_cast<std::uint32_t>(busy_.fd);
    for (std::uint32_t i = 0; i < spec_.max_entries; ++i) {
        std::fill(key_.begin(), key_.end(), std::uint8_t{0});
        std::uint32_t words[2] = {i, 0};
        if (spec_.type == MapType::lpm_trie) {
            words[0] = 32;
            words[1] = i;
        }
        std::memcpy(key_.data(), words, std::min<std::size_t>(spec_.key_size, sizeof words));
        make_value(value_.data());
        attr.key = address(key_.data());
        attr.value = address(value_.data());
        if (const long result = call(BPF_MAP_UPDATE_ELEM, attr); result != 0) {
            complaint_ = fmt::format("map {}: only {} of {} entries can be made: {}", spec_.name, i,
                                     spec_.max_entries, result);
            return false;
        }
    }
    return true;
}

}  // namespace crema::test
