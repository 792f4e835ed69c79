// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/queue_stack.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/ebpf/maps/spin_lock.h"
#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

Result<std::shared_ptr<Map>> QueueStack::make(const MapSpec& spec) {
    const std::uint32_t stride = stored_bytes(spec.value_size);
    auto memory =
        Memory::allocate(std::uint64_t{stride} * spec.max_entries, Memory::Sharing::private_pages);
    if (!memory) {
        return forward_error(memory);
    }
    return std::make_shared<QueueStack>(spec, std::move(*memory), stride);
}

QueueStack::QueueStack(const MapSpec& spec, Memory memory, std::uint32_t stride)
    : Map(spec), memory_(std::move(memory)), stride_(stride) {}

int QueueStack::push(const void* value, std::uint64_t flags) {
    if ((flags & kNoExist) != 0 || flags > kExist) {
        return -EINVAL;
    }
    const HeldLock held(locked_);
    if (head_ - tail_ == spec().max_entries) {
        if ((flags & kExist) == 0) {
            return -E2BIG;
        }
        tail_++;
    }
    std::memcpy(place(head_++), value, spec().value_size);
    return 0;
}

int QueueStack::read_next(void* value_out, bool remove) {
    const HeldLock held(locked_);
    if (head_ == tail_) {
        std::memset(value_out, 0, spec().value_size);
        return -ENOENT;
    }
    const bool is_queue = spec().type == MapType::queue;
    std::memcpy(value_out, place(is_queue ? tail_ : head_ - 1), spec().value_size);
    if (remove) {
        (is_queue ? tail_ : head_) += is_queue ? 1U : ~std::uint64_t{0};
    }
    return 0;
}

int QueueStack::pop(void* value_out) {
    return read_next(value_out, true);
}

int QueueStack::peek(void* value_out) {
    return read_next(value_out, false);
}

int QueueStack::do_lookup(const void* /*key*/, void* value_out) {
    return peek(value_out);
}

int QueueStack::do_update(const void* /*key*/, const void* value, std::uint64_t flags) {
    return push(value, flags);
}

int QueueStack::do_erase(const void* /*key*/) {
    return -EINVAL;
}

int QueueStack::do_next_key(const void* /*key*/, void* /*next_out*/) {
    return -EINVAL;
}

int QueueStack::do_take(const void* /*key*/, void* value_out) {
    return pop(value_out);
}

}  // namespace crema::ebpf::maps
