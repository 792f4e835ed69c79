// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/lowering/rebuild.h"

#include <algorithm>
#include <bit>

namespace crema::ebpf::lowering {

namespace {

/// [at, at + bytes) of memory.
struct Range {
    Location at;
    std::int32_t bytes = 0;

    [[nodiscard]] bool overlaps(const Range& other) const {
        return bytes != 0 && other.bytes != 0 && at.root == other.at.root &&
               at.offset < other.at.offset + other.bytes && other.at.offset < at.offset + bytes;
    }
};

/// A store to emit: of a constant, of a register that still holds what it did, or of bytes that
/// memory held.
struct Chunk {
    Range to;
    Byte first;  // its lowest byte
    std::uint64_t constant = 0;
    Range from;              // first.kind memory
    Reg loaded_to = kFrame;  // when the load is already emitted
    std::uint32_t by = 0;    // the instruction that the piece had last for one of its bytes
};

/// A register to fill.
struct Fill {
    enum class Kind : std::uint8_t { load, address, constant };
    Kind kind = Kind::constant;
    Reg reg = 0;
    Range from;          // load
    Location address{};  // address
    std::uint64_t constant = 0;

    /// The register whose entry value it needs.
    [[nodiscard]] RegSet needs() const {
        switch (kind) {
            case Kind::load:
                return reg_bit(from.at.root);
            case Kind::address:
                return reg_bit(address.root);
            case Kind::constant:
                return 0;
        }
        return 0;
    }
};

bool fits_offset(std::int32_t offset) {
    return offset >= INT16_MIN && offset <= INT16_MAX;
}

/// Is b what lies one byte behind a?
bool follows(const Byte& a, const Byte& b) {
    if (a.kind != b.kind) {
        return false;
    }
    switch (a.kind) {
        case Byte::Kind::constant:
            return true;
        case Byte::Kind::memory:
            return a.from.root == b.from.root && a.from.offset + 1 == b.from.offset;
        case Byte::Kind::entry:
            return a.from.root == b.from.root && a.value + 1 == b.value;
    }
    return false;
}

/// How many bytes at the low end are one memory access of its own, all above being zero.
std::int32_t loadable_bytes(const Bytes& bytes) {
    std::int32_t run = 1;
    while (run < 8 && follows(bytes[static_cast<std::size_t>(run - 1)],
                              bytes[static_cast<std::size_t>(run)])) {
        run++;
    }
    const bool rest_is_zero =
        std::all_of(bytes.begin() + run, bytes.end(), [](const Byte& b) { return b == Byte{}; });
    return bytes[0].kind == Byte::Kind::memory && rest_is_zero &&
                   std::has_single_bit(static_cast<std::uint32_t>(run))
               ? run
               : 0;
}

std::optional<std::uint64_t> constant_of(const Bytes& bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); i++) {
        if (bytes[i].kind != Byte::Kind::constant) {
            return std::nullopt;
        }
        value |= std::uint64_t{bytes[i].value} << (8 * i);
    }
    return value;
}

class Builder {
  public:
    Builder(const StraightRun& run, RegSet live) : run_(run), live_(live) {}

    Rebuilt build() {
        if (!find_fills() || !find_chunks()) {
            return {.insns = {}, .cut = cut_};
        }
        for (const Fill& fill : fills_) {
            needed_ |= fill.needs();
        }
        emit_early_loads();
        if (!emit_chunks() || !emit_rest()) {
            return {.insns = {}, .cut = cut_};
        }
        return std::move(out_);
    }

  private:
    // What the piece leaves in registers.
    bool find_fills() {
        for (Reg reg = 0; reg < kFrame; reg++) {
            if ((live_ & run_.written() & reg_bit(reg)) == 0) {
                continue;
            }
            if (!find_fill(reg, run_.reg(reg))) {
                cut_ = run_.written_by(reg);
                return false;
            }
        }
        return true;
    }

    bool find_fill(Reg reg, const RunValue& value) {
        if (value.is_address) {
            if (value.address == Location{.root = reg, .offset = 0}) {
                needed_ |= reg_bit(reg);  // as it was before: nothing else may get into it
            } else {
                fills_.push_back({.kind = Fill::Kind::address,
                                  .reg = reg,
                                  .from = {},
                                  .address = value.address});
            }
            return true;
        }
        if (const auto constant = constant_of(value.bytes)) {
            fills_.push_back(
                {.kind = Fill::Kind::constant, .reg = reg, .from = {}, .constant = *constant});
            return true;
        }
        const std::int32_t bytes = loadable_bytes(value.bytes);
        fills_.push_back({.kind = Fill::Kind::load,
                          .reg = reg,
                          .from = {.at = value.bytes[0].from, .bytes = bytes}});
        return bytes != 0 && fits_offset(value.bytes[0].from.offset);
    }

    // What it leaves in memory, as wide as it goes.
    bool find_chunks() {
        const auto& stores = run_.stores();
        for (auto at = stores.begin(); at != stores.end();) {
            auto end = at;
            std::int32_t run = 0;
            do {
                const auto before = end++;
                run++;
                if (end == stores.end() || end->first.root != before->first.root ||
                    end->first.offset != before->first.offset + 1 ||
                    !follows(before->second.byte, end->second.byte)) {
                    break;
                }
            } while (run < 8);
            const auto bytes =
                static_cast<std::int32_t>(std::bit_floor(static_cast<std::uint32_t>(run)));
            if (!add_chunk(at, bytes)) {
                return false;
            }
            std::advance(at, chunks_.back().to.bytes);
        }
        return true;
    }

    bool add_chunk(std::map<Location, StoredByte>::const_iterator at, std::int32_t bytes) {
        Chunk chunk{.to = {.at = at->first, .bytes = bytes},
                    .first = at->second.byte,
                    .from = {},
                    .by = at->second.by};
        std::int32_t i = 0;
        for (auto byte = at; i < bytes; ++byte, i++) {
            chunk.constant |= std::uint64_t{byte->second.byte.value} << (8 * i);
            chunk.by = std::max(chunk.by, byte->second.by);
        }
        bool good = fits_offset(chunk.to.at.offset);
        switch (chunk.first.kind) {
            case Byte::Kind::constant: {
                // The immediate has 32 bits and is sign-extended.
                const auto imm = static_cast<std::int32_t>(chunk.constant);
                if (bytes == 8 && static_cast<std::uint64_t>(std::int64_t{imm}) != chunk.constant) {
                    chunk.to.bytes = 4;
                    chunk.constant &= UINT32_MAX;
                }
                break;
            }
            case Byte::Kind::memory:
                chunk.from = {.at = chunk.first.from, .bytes = bytes};
                needed_ |= reg_bit(chunk.first.from.root);
                good = good && fits_offset(chunk.first.from.offset);
                break;
            case Byte::Kind::entry:
                needed_ |= reg_bit(chunk.first.from.root);
                good = good && chunk.first.value == 0;
                break;
        }
        needed_ |= reg_bit(chunk.to.at.root);
        chunks_.push_back(chunk);
        cut_ = chunk.by;
        return good;
    }

    void emit(const Insn& insn) {
        out_.insns.push_back(insn);
        out_.steps++;
    }

    void emit_load(Reg to, const Range& from) {
        emit(load(size_of_access(static_cast<std::uint32_t>(from.bytes)), to, from.at.root,
                  from.at.offset));
        out_.accesses++;
    }

    // Registers whose old content nobody needs get theirs first: nothing is overwritten yet.
    void emit_early_loads() {
        std::vector<Fill> rest;
        for (const Fill& fill : fills_) {
            if (fill.kind == Fill::Kind::load && (needed_ & reg_bit(fill.reg)) == 0) {
                emit_load(fill.reg, fill.from);
                filled_ |= reg_bit(fill.reg);
            } else {
                rest.push_back(fill);
            }
        }
        fills_ = std::move(rest);
    }

    // A register of the piece that is free for a while.
    [[nodiscard]] Reg temporary() const {
        for (Reg reg = 0; reg < kFrame; reg++) {
            const RegSet bit = reg_bit(reg);
            if ((run_.written() & bit) != 0 && ((needed_ | filled_ | held_) & bit) == 0) {
                return reg;
            }
        }
        return kFrame;
    }

    [[nodiscard]] bool may_store(std::size_t at) const {
        const auto reads = [this, at](const Range& from) { return from.overlaps(chunks_[at].to); };
        for (std::size_t i = 0; i < chunks_.size(); i++) {
            if (i != at && chunks_[i].loaded_to == kFrame && reads(chunks_[i].from)) {
                return false;
            }
        }
        return std::none_of(fills_.begin(), fills_.end(),
                            [&](const Fill& fill) { return reads(fill.from); });
    }

    bool emit_store(const Chunk& chunk) {
        const std::uint8_t size = size_of_access(static_cast<std::uint32_t>(chunk.to.bytes));
        out_.accesses++;
        if (chunk.first.kind == Byte::Kind::constant) {
            emit(make_insn(opcode(op::kSt | op::kMem | size), chunk.to.at.root, 0,
                           chunk.to.at.offset, static_cast<std::int32_t>(chunk.constant)));
            return true;
        }
        Reg value = chunk.first.from.root;
        if (chunk.first.kind == Byte::Kind::memory) {
            value = chunk.loaded_to != kFrame ? chunk.loaded_to : temporary();
            if (value == kFrame) {
                return false;
            }
            if (chunk.loaded_to == kFrame) {
                emit_load(value, chunk.from);
            }
            held_ &= ~reg_bit(value);
        }
        emit(store(size, chunk.to.at.root, chunk.to.at.offset, value));
        return true;
    }

    // Chunks whose place nobody reads any more, one after the other; where they wait for each other
    // in a circle, one of them is loaded ahead.
    bool emit_chunks() {
        while (!chunks_.empty()) {
            std::size_t at = 0;
            while (at < chunks_.size() && !may_store(at)) {
                at++;
            }
            if (at < chunks_.size()) {
                if (!emit_store(chunks_[at])) {
                    return false;
                }
                chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(at));
                continue;
            }
            const auto waiting =
                std::find_if(chunks_.begin(), chunks_.end(), [](const Chunk& chunk) {
                    return chunk.from.bytes != 0 && chunk.loaded_to == kFrame;
                });
            const Reg ahead = temporary();
            if (waiting == chunks_.end() || ahead == kFrame) {
                return false;
            }
            emit_load(ahead, waiting->from);
            waiting->loaded_to = ahead;
            held_ |= reg_bit(ahead);
        }
        return true;
    }

    void emit_fill(const Fill& fill) {
        if (fill.kind == Fill::Kind::load) {
            emit_load(fill.reg, fill.from);
        } else if (fill.kind == Fill::Kind::address) {
            if (fill.address.root != fill.reg) {
                emit(mov64(fill.reg, fill.address.root));
            }
            if (fill.address.offset != 0) {
                emit(alu64_k(op::kAdd, fill.reg, fill.address.offset));
            }
        } else if (fill.constant <= UINT32_MAX) {
            emit(mov32_k(fill.reg, static_cast<std::int32_t>(fill.constant)));
        } else {
            emit(make_insn(op::kLdImm64, fill.reg, 0, 0, static_cast<std::int32_t>(fill.constant)));
            out_.insns.push_back(
                make_insn(0, 0, 0, 0, static_cast<std::int32_t>(fill.constant >> 32U)));
        }
    }

    // Each where no other that is still to come needs what the register held.
    bool emit_rest() {
        while (!fills_.empty()) {
            const auto next = std::find_if(fills_.begin(), fills_.end(), [this](const Fill& fill) {
                return std::none_of(fills_.begin(), fills_.end(), [&fill](const Fill& other) {
                    return &other != &fill && (other.needs() & reg_bit(fill.reg)) != 0;
                });
            });
            if (next == fills_.end()) {
                return false;
            }
            emit_fill(*next);
            fills_.erase(next);
        }
        return true;
    }

    const StraightRun& run_;
    const RegSet live_;
    RegSet needed_ = 0;  // hold what something still to be emitted needs
    RegSet filled_ = 0;  // hold what the piece leaves in them
    RegSet held_ = 0;    // hold a chunk that was loaded ahead
    std::vector<Fill> fills_;
    std::vector<Chunk> chunks_;
    Rebuilt out_;
    std::uint32_t cut_ = 0;
};

}  // namespace

Rebuilt rebuild(const StraightRun& run, RegSet live) {
    return Builder(run, live).build();
}

}  // namespace crema::ebpf::lowering
