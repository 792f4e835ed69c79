// SPDX-License-Identifier: BSD-3-Clause
//
// A small device for tests of vfio-user: plain words, a register that copies memory by DMA, and one
// that sets the interrupt line.
#pragma once

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/vfio/device.h"
#include "tests/support/user_server.h"

namespace crema::vfio {

class CopyEngine final : public Servable {
  public:
    static constexpr std::uint32_t kBytes = 0x1000;
    static constexpr std::uint32_t kFrom = 0x100;
    static constexpr std::uint32_t kTo = 0x104;
    static constexpr std::uint32_t kCopy = 0x108;    // writing: copies so many bytes
    static constexpr std::uint32_t kCopied = 0x10c;  // bytes of the last copy; 0: refused
    static constexpr std::uint32_t kLine = 0x110;

    explicit CopyEngine(const DmaReach& reach) : reach_(reach) {
        block_.device = this;
        block_.read_fn = [](void* self, std::uint32_t offset) {
            return static_cast<CopyEngine*>(self)->words_.at(offset / 4);
        };
        block_.write_fn = [](void* self, std::uint32_t offset, std::uint32_t value) {
            static_cast<CopyEngine*>(self)->write(offset, value);
        };
    }

    [[nodiscard]] const Registers& register_block() const override { return block_; }

    [[nodiscard]] std::uint32_t register_bytes() const override { return kBytes; }

    void power_cycle() override {
        words_ = {};
        ++power_cycles;
    }

    [[nodiscard]] bool interrupt_level() override { return words_[kLine / 4] != 0; }

    bool advance() override { return false; }

    [[nodiscard]] Idle idle() override { return {}; }

    [[nodiscard]] std::string about() const override { return "copy engine"; }

    [[nodiscard]] std::uint64_t driver_faults() const override { return 0; }

    unsigned power_cycles = 0;

    static void enroll() {
        register_servable("copy", [](const DmaReach& reach, const ModelArgs& /*args*/) {
            return Result<std::unique_ptr<Servable>>(std::make_unique<CopyEngine>(reach));
        });
    }

  private:
    [[nodiscard]] std::uint8_t* reach(std::uint32_t iova, std::uint32_t bytes, DmaRights rights) {
        const auto window = reach_.window_at(iova);
        const std::uint64_t at = iova - std::uint64_t{window.iova};
        if (window.bytes < at + bytes || !includes(window.rights, rights)) {
            return nullptr;
        }
        return const_cast<std::uint8_t*>(window.va) + at;
    }

    void write(std::uint32_t offset, std::uint32_t value) {
        words_.at(offset / 4) = value;
        if (offset == kCopy) {
            const auto* from = reach(words_[kFrom / 4], value, DmaRights::read);
            auto* to = reach(words_[kTo / 4], value, DmaRights::write);
            words_[kCopied / 4] = from != nullptr && to != nullptr ? value : 0;
            if (words_[kCopied / 4] != 0) {
                std::memcpy(to, from, value);
            }
        }
    }

    const DmaReach& reach_;
    Registers block_;
    std::array<std::uint32_t, kBytes / 4> words_{};
};

/// A file of memory, mapped here.
class SharedFile {
  public:
    explicit SharedFile(std::size_t bytes)
        : fd(::memfd_create("test", MFD_CLOEXEC)), bytes_(bytes) {
        EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
        memory = static_cast<std::uint8_t*>(
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
    }

    ~SharedFile() { ::munmap(memory, bytes_); }

    SharedFile(const SharedFile&) = delete;
    SharedFile& operator=(const SharedFile&) = delete;

    UniqueFd fd;
    std::uint8_t* memory = nullptr;

  private:
    std::size_t bytes_;
};

}  // namespace crema::vfio
