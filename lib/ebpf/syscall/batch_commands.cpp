// SPDX-License-Identifier: BSD-3-Clause
//
// MAP_LOOKUP_BATCH, LOOKUP_AND_DELETE_BATCH, UPDATE_BATCH and DELETE_BATCH. Hash maps are read
// bucket by bucket, with a bucket's number as the cursor; other types key by key, with the last key
// as the cursor. The rules of count are the kernel's: it is written back also when the call ends
// early, and says how many elements were processed.
#include <algorithm>
#include <mutex>
#include <vector>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// A batch call whose map is open and whose caller may do what it asks for.
struct Batch {
    Call& call;
    std::shared_ptr<maps::Map> map;

    [[nodiscard]] const auto& attr() const { return call.attr.batch; }

    [[nodiscard]] int write_count(std::uint32_t count) const {
        return copy_out(call.user_attr + offsetof(bpf_attr, batch.count), &count, sizeof count);
    }

    /// 0, or -EINVAL: flags for elements that the map does not have.
    [[nodiscard]] int check_element_flags() const {
        const std::uint64_t allowed = map->spec().spin_lock_offset >= 0 ? maps::kLock : 0;
        return (attr().elem_flags & ~allowed) != 0 ? -EINVAL : 0;
    }
};

/// Error, or 0 with `batch.map` set.
int open_map(Batch& batch, Access access, bool maps::Map::BatchSupport::*wanted) {
    int error = 0;
    const auto object =
        object_store::find_as<MapObject>(static_cast<int>(batch.attr().map_fd), &error);
    if (object == nullptr) {
        return error;
    }
    if (!allows(*object, access)) {
        return -EPERM;
    }
    if (!(object->map->batch_support().*wanted)) {
        return -maps::kNotSupported;
    }
    batch.map = object->map;
    return 0;
}

int read_buckets(const Batch& batch, bool remove) {
    maps::Map& map = *batch.map;
    const std::uint32_t count_max = batch.attr().count;
    if (const int err = batch.check_element_flags(); err != 0) {
        return err;
    }
    if (batch.attr().flags != 0) {
        return -EINVAL;
    }
    if (count_max == 0) {
        return 0;
    }
    if (const int err = batch.write_count(0); err != 0) {
        return err;
    }
    std::uint32_t at = 0;
    if (batch.attr().in_batch != 0) {
        if (const int err = copy_in(&at, batch.attr().in_batch, sizeof at); err != 0) {
            return err;
        }
    }
    if (at >= map.bucket_count()) {
        return -ENOENT;
    }
    std::uint32_t total = 0;
    int result = 0;
    maps::Map::Bucket bucket;
    for (;;) {
        {
            const std::lock_guard lock(element_mutex());
            if (!map.read_bucket(at, count_max - total, remove, bucket)) {
                result = total == 0 ? -ENOSPC : 0;
                break;
            }
        }
        const std::size_t key_bytes = map.spec().key_size;
        const std::size_t value_bytes = map.user_value_bytes();
        if (copy_out(batch.attr().keys + total * key_bytes, bucket.keys.data(),
                     bucket.keys.size()) != 0 ||
            copy_out(batch.attr().values + total * value_bytes, bucket.values.data(),
                     bucket.values.size()) != 0) {
            return -EFAULT;
        }
        total += bucket.count;
        if (++at >= map.bucket_count()) {
            result = -ENOENT;
            break;
        }
    }
    if (copy_out(batch.attr().out_batch, &at, sizeof at) != 0 || batch.write_count(total) != 0) {
        return -EFAULT;
    }
    return result;
}

int read_keys(const Batch& batch) {
    maps::Map& map = *batch.map;
    const std::uint32_t count_max = batch.attr().count;
    if (const int err = batch.check_element_flags(); err != 0) {
        return err;
    }
    if (count_max == 0) {
        return 0;
    }
    if (const int err = batch.write_count(0); err != 0) {
        return err;
    }
    const std::size_t key_bytes = map.spec().key_size;
    Bytes previous(key_bytes);
    bool has_previous = batch.attr().in_batch != 0;
    if (has_previous && copy_in(previous.data(), batch.attr().in_batch, key_bytes) != 0) {
        return -EFAULT;
    }
    Bytes key(key_bytes);
    Buffer value(map.user_value_bytes());
    if (value.data() == nullptr) {
        return -ENOMEM;
    }
    std::uint32_t total = 0;
    int result = 0;
    while (total < count_max) {
        {
            const std::lock_guard lock(element_mutex());
            result = map.next_key(has_previous ? previous.data() : nullptr, key.data());
            if (result != 0) {
                break;
            }
            result = map.lookup(key.data(), value.data(), batch.attr().elem_flags);
        }
        previous = key;
        has_previous = true;
        if (result == -ENOENT) {
            result = 0;  // an empty slot
            continue;
        }
        if (result != 0) {
            return result;
        }
        if (copy_out(batch.attr().keys + total * key_bytes, key.data(), key_bytes) != 0 ||
            value.write(batch.attr().values + total * value.size()) != 0) {
            return -EFAULT;
        }
        total++;
    }
    if (batch.write_count(total) != 0 ||
        (total != 0 && copy_out(batch.attr().out_batch, previous.data(), key_bytes) != 0)) {
        return -EFAULT;
    }
    return result;
}

/// Calls write(key, position) for each key of the caller until it fails.
template <typename Write>
int write_keys(const Batch& batch, Write&& write) {
    if (const int err = batch.check_element_flags(); err != 0) {
        return err;
    }
    if (batch.attr().count == 0) {
        return 0;
    }
    const std::size_t key_bytes = batch.map->spec().key_size;
    Bytes key(key_bytes);
    std::uint32_t done = 0;
    int result = 0;
    for (; done < batch.attr().count; done++) {
        result = copy_in(key.data(), batch.attr().keys + done * key_bytes, key_bytes);
        if (result == 0) {
            result = write(key.data(), done);
        }
        if (result != 0) {
            break;
        }
    }
    return batch.write_count(done) != 0 ? -EFAULT : result;
}

}  // namespace

long map_lookup_batch(Call& call) {
    Batch batch{.call = call, .map = nullptr};
    if (const int err = open_map(batch, Access::read, &maps::Map::BatchSupport::lookup); err != 0) {
        return err;
    }
    return batch.map->bucket_count() != 0 ? read_buckets(batch, false) : read_keys(batch);
}

long map_take_batch(Call& call) {
    Batch batch{.call = call, .map = nullptr};
    if (const int err = open_map(batch, Access::both, &maps::Map::BatchSupport::take); err != 0) {
        return err;
    }
    return read_buckets(batch, true);
}

long map_update_batch(Call& call) {
    Batch batch{.call = call, .map = nullptr};
    if (const int err = open_map(batch, Access::write, &maps::Map::BatchSupport::update);
        err != 0) {
        return err;
    }
    Buffer value(batch.map->user_value_bytes());
    return write_keys(batch, [&](const std::uint8_t* key, std::uint32_t position) {
        if (const int err = value.read(batch.attr().values + position * value.size()); err != 0) {
            return err;
        }
        const std::lock_guard lock(element_mutex());
        return batch.map->update(key, value.data(), batch.attr().elem_flags);
    });
}

long map_delete_batch(Call& call) {
    Batch batch{.call = call, .map = nullptr};
    if (const int err = open_map(batch, Access::write, &maps::Map::BatchSupport::erase); err != 0) {
        return err;
    }
    return write_keys(batch, [&](const std::uint8_t* key, std::uint32_t) {
        const std::lock_guard lock(element_mutex());
        return batch.map->erase(key);
    });
}

}  // namespace crema::ebpf::syscall
