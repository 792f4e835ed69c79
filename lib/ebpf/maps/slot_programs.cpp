// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/slot_programs.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

namespace crema::ebpf::maps {

namespace {

std::atomic<std::size_t> g_shares{0};

}  // namespace

struct SlotPrograms::Registry {
    std::mutex mutex;
    std::vector<const LoadedProgram*> programs;
};

class SlotPrograms::Share {
  public:
    Share(std::shared_ptr<const LoadedProgram> program, std::shared_ptr<Registry> registry)
        : program_(std::move(program)), registry_(std::move(registry)) {
        const std::lock_guard lock(registry_->mutex);
        registry_->programs.push_back(program_.get());
        g_shares.fetch_add(1, std::memory_order_relaxed);
    }

    ~Share() {
        const std::lock_guard lock(registry_->mutex);
        auto& programs = registry_->programs;
        *std::find(programs.begin(), programs.end(), program_.get()) = programs.back();
        programs.pop_back();
        g_shares.fetch_sub(1, std::memory_order_relaxed);
    }

    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    [[nodiscard]] const LoadedProgram* program() const { return program_.get(); }

  private:
    std::shared_ptr<const LoadedProgram> program_;
    std::shared_ptr<Registry> registry_;
};

SlotPrograms::SlotPrograms() : registry_(std::make_shared<Registry>()) {}

std::shared_ptr<const LoadedProgram> SlotPrograms::share(
    std::shared_ptr<const LoadedProgram> program) const {
    const auto share = std::make_shared<Share>(std::move(program), registry_);
    return {share, share->program()};
}

std::vector<const LoadedProgram*> SlotPrograms::all() const {
    const std::lock_guard lock(registry_->mutex);
    return registry_->programs;
}

std::size_t SlotPrograms::count_of_all() {
    return g_shares.load(std::memory_order_relaxed);
}

}  // namespace crema::ebpf::maps
