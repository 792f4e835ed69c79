// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/capture.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "lib/ebpf/abi/fragments.h"
#include "lib/xdp/capture_filter.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/quiescence.h"

namespace crema::xdp {

/// One program under the eye of any number of captures: what its runs start with meanwhile.
/// Immutable once the path sees it.
struct Watch {
    ebpf::Start start;  // the address of the whole is `start.self`
    const ebpf::LoadedProgram* program = nullptr;
    std::vector<Capture::State*> captures;
};

struct Capture::State {
    CaptureSpec spec;
    UniqueFd file;
    std::uint8_t* memory = nullptr;
    std::uint64_t bytes = 0;
    std::uint32_t rings = 0;
    /// By tx_slot_of_this_thread(): ring 0 is shared by threads without an lcore, and by lcores
    /// that came later.
    std::array<std::uint16_t, RTE_MAX_LCORE + 1> ring_of_slot{};
    std::atomic_flag shared_ring_is_busy = ATOMIC_FLAG_INIT;
    std::vector<std::uint64_t> next_ids;  // by ring, of the next frame
    std::vector<std::shared_ptr<const ebpf::LoadedProgram>> programs;

    State() = default;

    ~State() {
        if (memory != nullptr) {
            ::munmap(memory, bytes);
        }
    }

    State(const State&) = delete;
    State& operator=(const State&) = delete;

    [[nodiscard]] CaptureRingHead& head_of(std::uint32_t ring) const {
        return *reinterpret_cast<CaptureRingHead*>(memory + capture_ring_at(spec.ring_bytes, ring));
    }

    [[nodiscard]] std::uint8_t* data_of(std::uint32_t ring) const {
        return memory + capture_ring_at(spec.ring_bytes, ring) + kCapturePage;
    }

    /// False: another frame. Sets the frame's number.
    [[nodiscard]] bool takes(const ebpf::XdpBuff& buff, std::uint32_t ring, std::uint64_t& id) {
        const auto first_bytes = static_cast<std::uint32_t>(buff.data_end - buff.data);
        if (spec.ifindex != 0 && spec.ifindex != buff.ingress_ifindex) {
            return false;
        }
        if (!spec.filter.empty() &&
            !filter_takes(spec.filter, buff.data, first_bytes, ebpf::frame_bytes(buff))) {
            return false;
        }
        id = next_ids[ring]++;
        return true;
    }

    void write(const CaptureRecord& about, const ebpf::XdpBuff& buff, std::uint32_t ring);
};

namespace {

constexpr std::size_t kCapturesMax = 8;  // that look at one program

std::mutex g_control;  // which capture watches what

/// Makes room for `bytes` in one piece. Null: there is none. *written: `head` afterwards.
std::uint8_t* make_room(CaptureRingHead& own,
                        std::uint8_t* data,
                        std::uint64_t ring_bytes,
                        std::uint64_t bytes,
                        std::uint64_t* written) {
    const std::uint64_t head = own.head.load(std::memory_order_relaxed);
    const std::uint64_t used = head - own.tail.load(std::memory_order_acquire);
    const std::uint64_t at = head & (ring_bytes - 1);
    const std::uint64_t filler = at + bytes > ring_bytes ? ring_bytes - at : 0;
    // A reader who says that he has read what was never written gets nothing.
    if (used > ring_bytes || ring_bytes - used < filler + bytes) {
        return nullptr;
    }
    if (filler != 0) {
        // At least the first two fields of a record: sizes are multiples of 8.
        const std::uint32_t size = static_cast<std::uint32_t>(filler);
        constexpr CapturePoint kFiller = CapturePoint::filler;
        std::memcpy(data + at, &size, sizeof size);
        std::memcpy(data + at + sizeof size, &kFiller, sizeof kFiller);
    }
    *written = head + filler + bytes;
    return data + (filler != 0 ? 0 : at);
}

/// The first `bytes` of a frame, at most as many as it has.
void copy_frame(const ebpf::XdpBuff& buff, std::uint8_t* to, std::uint32_t bytes) {
    const auto first = std::min(bytes, static_cast<std::uint32_t>(buff.data_end - buff.data));
    std::memcpy(to, buff.data, first);
    ebpf::Fragments* const fragments = ebpf::fragments_of(buff);
    if (fragments == nullptr) {
        return;
    }
    std::uint32_t done = first;
    for (const ebpf::Fragment& fragment : *fragments) {
        const std::uint32_t n = std::min(bytes - done, fragment.len);
        std::memcpy(to + done, fragment.data, n);
        done += n;
    }
}

/// A thread's turn at its ring: at once, or for threads that share one perhaps not.
class Turn {
  public:
    Turn(Capture::State& capture, std::uint32_t slot)
        : capture_(capture), ring_(capture.ring_of_slot[slot]) {
        if (ring_ == 0 && capture_.shared_ring_is_busy.test_and_set(std::memory_order_acquire)) {
            capture_.head_of(0).dropped.fetch_add(1, std::memory_order_relaxed);
            mine_ = false;
        }
    }

    ~Turn() {
        if (mine_ && ring_ == 0) {
            capture_.shared_ring_is_busy.clear(std::memory_order_release);
        }
    }

    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    /// False: another thread is at it.
    [[nodiscard]] bool is_mine() const { return mine_; }

    [[nodiscard]] std::uint32_t ring() const { return ring_; }

  private:
    Capture::State& capture_;
    std::uint32_t ring_;
    bool mine_ = true;
};

/// True when the capture wants the frame, whose number is `id` then.
bool look_at_entry(Capture::State& capture,
                   const Watch& watch,
                   const ebpf::XdpBuff& buff,
                   std::uint32_t slot,
                   std::uint64_t& id) {
    const Turn turn(capture, slot);
    if (!turn.is_mine() || !capture.takes(buff, turn.ring(), id)) {
        return false;
    }
    if (capture.spec.at_entry) {
        capture.write({.point = CapturePoint::entry, .id = id, .program_id = watch.program->id},
                      buff, turn.ring());
    }
    return capture.spec.at_exit;
}

/// One run of a watched program.
std::uint64_t watched_run(ebpf::XdpBuff* buff, const void* self) {
    const Watch& watch = *static_cast<const Watch*>(self);
    const std::uint32_t slot = tx_slot_of_this_thread();
    std::array<std::uint64_t, kCapturesMax> ids;
    std::uint32_t wanted = 0;  // at the exit; bit by capture
    for (std::size_t i = 0; i < watch.captures.size(); ++i) {
        if (look_at_entry(*watch.captures[i], watch, *buff, slot, ids[i])) {
            wanted |= 1U << i;
        }
    }
    const ebpf::Start inner = watch.program->unwatched_start();
    const std::uint64_t result = inner.entry(buff, inner.self);
    for (std::size_t i = 0; wanted >> i != 0; ++i) {
        if ((wanted >> i & 1U) == 0) {
            continue;
        }
        const Turn turn(*watch.captures[i], slot);
        if (turn.is_mine()) {
            watch.captures[i]->write({.point = CapturePoint::exit,
                                      .id = ids[i],
                                      .program_id = watch.program->id,
                                      .act = static_cast<std::uint32_t>(result)},
                                     *buff, turn.ring());
        }
    }
    return result;
}

/// Puts `captures` in place of who watches the program; the old one is freed when nobody runs it.
/// Caller holds g_control.
void set_watch(const ebpf::LoadedProgram& program, std::vector<Capture::State*> captures) {
    const ebpf::Start* const old = program.watched.load(std::memory_order_relaxed);
    std::unique_ptr<const Watch> gone(old != nullptr ? static_cast<const Watch*>(old->self)
                                                     : nullptr);
    if (captures.empty()) {
        program.watched.store(nullptr, std::memory_order_release);
    } else {
        auto* const next = new Watch{.start = {.entry = watched_run, .self = nullptr},
                                     .program = &program,
                                     .captures = std::move(captures)};
        next->start.self = next;
        program.watched.store(&next->start, std::memory_order_release);
    }
    if (gone != nullptr) {
        synchronize();
    }
}

std::vector<Capture::State*> captures_of(const ebpf::LoadedProgram& program) {
    const ebpf::Start* const now = program.watched.load(std::memory_order_relaxed);
    return now != nullptr ? static_cast<const Watch*>(now->self)->captures
                          : std::vector<Capture::State*>();
}

Status check(const CaptureSpec& spec) {
    if (!std::has_single_bit(spec.ring_bytes) || spec.ring_bytes < kCaptureRingMin ||
        spec.ring_bytes > kCaptureRingMax) {
        return fail(EINVAL, "capture: a buffer has {} to {} bytes and a power of two",
                    kCaptureRingMin, kCaptureRingMax);
    }
    if (spec.snap_bytes > kCaptureSnapMax || (!spec.at_entry && !spec.at_exit)) {
        return fail(EINVAL, "capture: frames are taken at entry, exit or both, at most {} bytes",
                    kCaptureSnapMax);
    }
    if (!spec.filter.empty() && !is_filter(spec.filter)) {
        return fail(EINVAL, "capture: the filter is no valid classic BPF");
    }
    return {};
}

}  // namespace

void Capture::State::write(const CaptureRecord& about,
                           const ebpf::XdpBuff& buff,
                           std::uint32_t ring) {
    const std::uint32_t frame_bytes = ebpf::frame_bytes(buff);
    const std::uint32_t captured = std::min(frame_bytes, spec.snap_bytes);
    CaptureRecord record = about;
    record.bytes = static_cast<std::uint32_t>(capture_record_bytes(captured));
    record.tsc = rte_rdtsc();
    record.ifindex = buff.ingress_ifindex;
    record.queue = buff.rx_queue_index;
    record.frame_bytes = frame_bytes;
    record.captured_bytes = captured;
    CaptureRingHead& own = head_of(ring);
    std::uint64_t written = 0;
    std::uint8_t* const place =
        make_room(own, data_of(ring), spec.ring_bytes, record.bytes, &written);
    if (place == nullptr) {
        own.dropped.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    own.records.store(own.records.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    std::memcpy(place, &record, sizeof record);
    copy_frame(buff, place + sizeof record, captured);
    own.head.store(written, std::memory_order_release);
}

Result<std::unique_ptr<Capture>> Capture::start(const CaptureSpec& spec) {
    if (const Status valid = check(spec); !valid) {
        return forward_error(valid);
    }
    auto state = std::make_unique<State>();
    state->spec = spec;
    state->rings = rte_lcore_count() + 1;
    state->next_ids.resize(state->rings);
    unsigned lcore = 0;
    RTE_LCORE_FOREACH(lcore) {
        state->ring_of_slot[lcore] =
            static_cast<std::uint16_t>(rte_lcore_index(static_cast<int>(lcore)) + 1);
    }
    state->bytes = capture_file_bytes(spec.ring_bytes, state->rings);
    state->file.reset(::memfd_create("crema_capture", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!state->file.valid() ||
        ::ftruncate(state->file.get(), static_cast<off_t>(state->bytes)) != 0 ||
        ::fcntl(state->file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return fail(errno, "capture: no memory for {} bytes (errno {})", state->bytes, errno);
    }
    void* const memory =
        ::mmap(nullptr, state->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, state->file.get(), 0);
    if (memory == MAP_FAILED) {
        return fail(errno, "capture: no memory for {} bytes (errno {})", state->bytes, errno);
    }
    state->memory = static_cast<std::uint8_t*>(memory);
    *reinterpret_cast<CaptureHeader*>(memory) = {.magic = kCaptureMagic,
                                                 .ring_bytes = spec.ring_bytes,
                                                 .tsc_hz = rte_get_tsc_hz(),
                                                 .rings = state->rings,
                                                 .reserved = 0};
    return std::unique_ptr<Capture>(new Capture(std::move(state)));
}

Capture::Capture(std::unique_ptr<State> state) : state_(std::move(state)) {}

Capture::~Capture() {
    (void)watch({});
}

Status Capture::watch(std::vector<std::shared_ptr<const ebpf::LoadedProgram>> programs) {
    const std::scoped_lock guard(g_control);
    State* const own = state_.get();
    for (const auto& old : own->programs) {
        if (std::ranges::find(programs, old) == programs.end()) {
            auto captures = captures_of(*old);
            std::erase(captures, own);
            set_watch(*old, std::move(captures));
        }
    }
    own->programs.clear();
    Status done;
    for (auto& program : programs) {
        auto captures = captures_of(*program);
        if (std::ranges::find(captures, own) == captures.end()) {
            if (captures.size() == kCapturesMax) {
                done = fail(EBUSY, "capture: {} others look at program {}", kCapturesMax,
                            program->program.name);
                continue;
            }
            captures.push_back(own);
            set_watch(*program, std::move(captures));
        }
        own->programs.push_back(std::move(program));
    }
    return done;
}

std::size_t Capture::watched() const {
    return state_->programs.size();
}

int Capture::fd() const {
    return state_->file.get();
}

}  // namespace crema::xdp
