// SPDX-License-Identifier: BSD-3-Clause
//
// The checking watch over the machine, and what it knows of objects: a list of grants that grows
// with what helpers hand out. Lookups in it are linear: a run has few.
#include "lib/ebpf/interpreter/checked.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <vector>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/interpreter/machine.h"

namespace crema::ebpf::interpreter {
namespace {

class Checker {
  public:
    static constexpr bool kChecks = true;

    Checker(XdpBuff& buff, const CheckedOptions& options) : options_(options), buff_(buff) {}

    [[nodiscard]] CheckedRun take(std::uint64_t r0) {
        return {.fault = std::move(fault_), .r0 = r0, .insns = insns_};
    }

    bool fault(std::uint32_t slot, std::string what) {
        if (!fault_) {
            fault_ = Fault{.slot = slot, .out_of_budget = false, .what = std::move(what)};
        }
        return false;
    }

    [[nodiscard]] bool stopped() const { return fault_.has_value(); }

    bool before(const Activation<Checker>& run,
                const Image& image,
                std::uint32_t slot,
                const Registers& regs) {
        if (stopped()) {
            return false;
        }
        if (slot >= image.size()) {
            return fault(slot, "execution leaves the program");
        }
        if (++insns_ > options_.insns_max) {
            fault(slot, fmt::format("more than {} instructions", options_.insns_max));
            fault_->out_of_budget = true;
            return false;
        }
        if (options_.observer) {
            options_.observer({.image = image,
                               .slot = slot,
                               .regs = regs,
                               .depth = run.depth_,
                               .frame = run.stacks_[run.depth_ - 1],
                               .buff = buff_});
        }
        return true;
    }

    void entered(const Image& image,
                 std::array<std::uint8_t, kFrameBytes>& frame,
                 Registers& regs) {
        for (std::size_t at = 0; at < kFrameBytes; at += sizeof(std::uint64_t)) {
            const std::uint64_t value = poison();
            std::memcpy(frame.data() + at, &value, sizeof value);
        }
        for (const maps::Map* map : image.direct_values()) {
            grant_value(*map, at(map->layout().base));
        }
        regs[0] = poison();
        std::generate(&regs[6], &regs[10], [this] { return poison(); });
    }

    /// What a call that came back to its caller leaves of r0..r5.
    void clobbered(Registers& regs) {
        regs[0] = poison();
        returned(regs);
    }

    void returned(Registers& regs) {
        std::generate(&regs[1], &regs[6], [this] { return poison(); });
    }

    bool allows(const Activation<Checker>& run,
                std::uint32_t slot,
                std::uint64_t address,
                std::uint32_t bytes,
                Use use) {
        const char* const why = refusal(run, address, bytes, use);
        if (why == nullptr) {
            return true;
        }
        constexpr std::array kUses = {"read", "write", "atomic access"};
        return fault(slot, fmt::format("{} of {} bytes at {:#x}: {}",
                                       kUses[static_cast<std::size_t>(use)], bytes, address, why));
    }

    /// For helpers that are native only for some map types; null: not for this one.
    static helpers::Native native_of(std::uint32_t helper, const Arguments& arguments) {
        const bool of_map = helpers::find(helper)->args[0].kind == helpers::ArgKind::map;
        return of_map ? helpers::native_for(helper, helpers::map_of(arguments[0]).spec().type)
                      : nullptr;
    }

    void calls(std::uint32_t helper, const Arguments& arguments) {
        const bool walks = helpers::find(helper)->callback == helpers::CallbackRule::each_element;
        walks_.push_back(walks ? &helpers::map_of(arguments[0]) : nullptr);
    }

    /// A walk over a map shows its callback key and value of one element.
    void called_back(const Arguments& arguments) {
        if (!walks_.empty() && walks_.back() != nullptr) {
            grant(arguments[1], walks_.back()->spec().key_size, false);
            grant(arguments[2], walks_.back()->spec().value_size, true);
        }
    }

    bool called(std::uint32_t helper, const Arguments& arguments, Registers& regs) {
        walks_.pop_back();
        std::generate(&regs[1], &regs[6], [this] { return poison(); });
        const helpers::Prototype& prototype = *helpers::find(helper);
        switch (prototype.returns.kind) {
            case helpers::ReturnKind::map_value_or_null:
                grant_value(helpers::map_of(arguments[0]), regs[0]);
                break;
            case helpers::ReturnKind::ringbuf_record_or_null:
            case helpers::ReturnKind::dynptr_slice_or_null:
                grant(regs[0], allocated(prototype, arguments), true);
                break;
            case helpers::ReturnKind::nothing:
                regs[0] = poison();
                break;
            default:
                break;
        }
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            if (prototype.args[i].kind == helpers::ArgKind::ringbuf_record) {
                revoke(arguments[i]);
            }
        }
        return !stopped();
    }

  private:
    struct Grant {
        std::uint64_t start;
        std::uint64_t bytes;
        bool writable;
    };

    static bool covers(std::uint64_t start,
                       std::uint64_t size,
                       std::uint64_t address,
                       std::uint32_t bytes) {
        return address >= start && bytes <= size && address - start <= size - bytes;
    }

    static std::uint64_t at(const void* pointer) {
        return reinterpret_cast<std::uintptr_t>(pointer);
    }

    static std::uint64_t allocated(const helpers::Prototype& prototype,
                                   const Arguments& arguments) {
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            if (prototype.args[i].kind == helpers::ArgKind::alloc_size) {
                return arguments[i];
            }
        }
        return 0;
    }

    /// Null: fine.
    [[nodiscard]] const char* refusal(const Activation<Checker>& run,
                                      std::uint64_t address,
                                      std::uint32_t bytes,
                                      Use use) const {
        if (covers(at(&buff_), kContextBytes, address, bytes)) {
            const bool whole_field = bytes == 4 && (address - at(&buff_)) % 4 == 0;
            return use == Use::read && whole_field ? nullptr : "no such access to the context";
        }
        if (use == Use::atomic && address % bytes != 0) {
            return "not aligned";
        }
        for (std::uint32_t frame = 0; frame < run.depth_; ++frame) {
            if (covers(at(run.stacks_[frame].data()), kFrameBytes, address, bytes)) {
                return nullptr;
            }
        }
        const auto packet_bytes = static_cast<std::uint64_t>(buff_.data_end - buff_.data_meta);
        if (covers(at(buff_.data_meta), packet_bytes, address, bytes)) {
            return use == Use::atomic ? "atomic operation on the packet" : nullptr;
        }
        for (const Grant& grant : grants_) {
            if (covers(grant.start, grant.bytes, address, bytes)) {
                return use == Use::read || grant.writable ? nullptr : "the memory is read only";
            }
        }
        return "no object of the program";
    }

    void grant(std::uint64_t start, std::uint64_t bytes, bool writable) {
        const auto same = [start](const Grant& grant) { return grant.start == start; };
        if (start != 0 && std::none_of(grants_.begin(), grants_.end(), same)) {
            grants_.push_back({start, bytes, writable});
        }
    }

    void revoke(std::uint64_t start) {
        std::erase_if(grants_, [start](const Grant& grant) { return grant.start == start; });
    }

    void grant_value(const maps::Map& map, std::uint64_t value) {
        using maps::MapType;
        const MapType type = map.spec().type;
        const bool is_memory = type != MapType::array_of_maps && type != MapType::hash_of_maps &&
                               type != MapType::xskmap && type != MapType::sockmap &&
                               type != MapType::sockhash;
        const bool read_only = (map.spec().flags & maps::kRdonlyProg) != 0 ||
                               type == MapType::devmap || type == MapType::devmap_hash ||
                               type == MapType::cpumap;
        if (is_memory) {
            grant(value, map.spec().value_size, !read_only);
        }
    }

    std::uint64_t poison() {
        if (options_.salt == 0) {
            return 0;
        }
        // A multiplicative sequence: any odd state never becomes zero.
        poison_ = poison_ * 0x5851f42d4c957f2dULL + 2 * options_.salt + 0x14057b7ef767814fULL;
        return poison_ ^ poison_ >> 29U;
    }

    const CheckedOptions& options_;
    const XdpBuff& buff_;
    std::optional<Fault> fault_;
    std::uint64_t insns_ = 0;
    std::uint64_t poison_ = options_.salt;
    std::vector<Grant> grants_;
    std::vector<const maps::Map*> walks_;  // helper calls in progress: the map they walk, or null
};

}  // namespace

// Frames lie on the thread's own stack, as in run_trusted.
[[gnu::no_sanitize_address]] CheckedRun run_checked(const Image& image,
                                                    XdpBuff& buff,
                                                    const CheckedOptions& options) {
    Checker checker(buff, options);
    Activation<Checker> activation(buff, checker);
    const CallbackScope scope({.activation = &activation, .call = Activation<Checker>::call_back});
    const std::uint64_t r0 = activation.run(image, 0, {reinterpret_cast<std::uintptr_t>(&buff)});
    return checker.take(r0);
}

}  // namespace crema::ebpf::interpreter
