// SPDX-License-Identifier: BSD-3-Clause
//
// A value that many states hold in common until one of them changes it (copy on write). Most of a
// state is the same as that of the state it forked from; without sharing, a program built to make
// many states would cost gigabytes.
//
// Not for threads: the count is a plain number, a Machine and its states live in one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace crema::ebpf::verifier {

/// Bytes that all shared values of this thread take, for the limit on them.
inline thread_local std::size_t t_shared_bytes = 0;

/// What one value takes; more than its size for one that owns memory.
template <typename T>
inline constexpr std::size_t kSharedBytes = sizeof(T);

template <typename T>
class Shared {
  public:
    Shared() = default;

    Shared(const Shared& other) noexcept : box_(other.box_) {
        if (box_ != nullptr) {
            ++box_->users;
        }
    }

    Shared(Shared&& other) noexcept : box_(std::exchange(other.box_, nullptr)) {}

    Shared& operator=(const Shared& other) noexcept {
        if (this != &other) {
            Shared copy(other);
            std::swap(box_, copy.box_);
        }
        return *this;
    }

    Shared& operator=(Shared&& other) noexcept {
        std::swap(box_, other.box_);
        return *this;
    }

    ~Shared() { release(); }

    [[nodiscard]] explicit operator bool() const { return box_ != nullptr; }

    [[nodiscard]] const T& operator*() const { return box_->value; }

    [[nodiscard]] const T* operator->() const { return &box_->value; }

    [[nodiscard]] bool same(const Shared& other) const { return box_ == other.box_; }

    /// The value, for a change that nobody else sees. An empty handle gets a fresh value.
    [[nodiscard]] T& edit() {
        if (box_ == nullptr) {
            box_ = new Box();
        } else if (box_->users > 1) {
            Box* own = new Box(box_->value);
            --box_->users;
            box_ = own;
        }
        return box_->value;
    }

    void reset() {
        release();
        box_ = nullptr;
    }

  private:
    struct Box {
        Box() { t_shared_bytes += kSharedBytes<T>; }

        explicit Box(const T& from) : value(from) { t_shared_bytes += kSharedBytes<T>; }

        Box(const Box&) = delete;
        Box& operator=(const Box&) = delete;

        ~Box() { t_shared_bytes -= kSharedBytes<T>; }

        T value{};
        std::uint32_t users = 1;
    };

    void release() {
        // The analyzer does not follow the count: to it, each handle may have been the last one.
        // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDelete)
        if (box_ != nullptr && --box_->users == 0) {
            delete box_;
        }
    }

    Box* box_ = nullptr;
};

}  // namespace crema::ebpf::verifier
