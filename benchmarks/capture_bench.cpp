// SPDX-License-Identifier: BSD-3-Clause
//
// What `crema dump` costs the packet path: bursts of 32 frames of 64 bytes through the hook, whose
// program drops them, with nobody looking (the twin) and with captures of several kinds. The reader
// takes everything at once, by moving the ring's tail, except in `full`, where nobody reads.
#include <array>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <vector>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "benchmarks/common/machine.h"
#include "lib/ebpf/loader/object.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/attach.h"
#include "lib/xdp/capture.h"

namespace {

using namespace crema;

constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kFrameBytes = 64;

std::uint32_t take_none(void* /*port*/, std::uint32_t, const xdp::Frame*, std::uint32_t) {
    return 0;
}

constexpr xdp::PortOps kOps = {.mode = "native",
                               .xmit = take_none,
                               .attach_check = [](void*, bool) -> Status { return {}; },
                               .frame_bytes_max = [](void*) -> std::uint32_t { return 1518; },
                               .is_up = [](void*) { return true; }};

struct Bench {
    rte_mempool* pool = nullptr;
    xdp::RxHook* hook = nullptr;
    std::shared_ptr<const ebpf::LoadedProgram> program;
};

struct Kind {
    const char* name;
    bool captures;
    bool reads;
    xdp::CaptureSpec spec;
};

/// The ring of this lcore, as a reader in another process has it.
class Reader {
  public:
    Reader(const xdp::Capture& capture, std::uint64_t ring_bytes) {
        const std::uint32_t rings = rte_lcore_count() + 1;
        bytes_ = xdp::capture_file_bytes(ring_bytes, rings);
        memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, capture.fd(), 0);
        const auto ring = static_cast<std::uint32_t>(rte_lcore_index(-1) + 1);
        head_ = reinterpret_cast<xdp::CaptureRingHead*>(static_cast<std::uint8_t*>(memory_) +
                                                        xdp::capture_ring_at(ring_bytes, ring));
    }

    ~Reader() { ::munmap(memory_, bytes_); }

    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    void take_all() { head_->tail.store(head_->head.load(std::memory_order_acquire)); }

  private:
    void* memory_;
    std::size_t bytes_;
    xdp::CaptureRingHead* head_;
};

void run(benchmark::State& state, const Bench& bench, const Kind& kind) {
    std::unique_ptr<xdp::Capture> capture;
    std::unique_ptr<Reader> reader;
    if (kind.captures) {
        auto started = xdp::Capture::start(kind.spec);
        if (!started || !(*started)->watch({bench.program})) {
            state.SkipWithError("the capture does not start");
            return;
        }
        capture = std::move(*started);
        reader = std::make_unique<Reader>(*capture, kind.spec.ring_bytes);
    }
    std::array<rte_mbuf*, kBurst> pages;
    std::array<xdp::Frame, kBurst> frames;
    std::uint64_t cycles = 0;
    std::uint64_t n = 0;
    for (auto _ : state) {
        if (page_pool::alloc_bulk(bench.pool, pages.data(), kBurst) != kBurst) {
            state.SkipWithError("the pool is empty");
            return;
        }
        for (std::uint32_t i = 0; i < kBurst; ++i) {
            frames[i] = {.page = pages[i],
                         .data = page_pool::buffer_of(pages[i]) + page_pool::kDataOffset,
                         .len = kFrameBytes,
                         .meta_len = 0,
                         .fragments = 0};
        }
        const std::uint64_t start = rte_rdtsc();
        benchmark::DoNotOptimize(bench.hook->run(bench.hook, frames.data(), kBurst));
        cycles += rte_rdtsc() - start;
        n += kBurst;
        if (kind.reads && reader != nullptr) {
            reader->take_all();
        }
    }
    state.counters["cycles_per_frame"] =
        static_cast<double>(cycles) / static_cast<double>(std::max<std::uint64_t>(n, 1));
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::uint32_t> cpus = bench::allowed_cpus();
    cpus.resize(1);
    bench::start_eal(cpus);
    static Bench bench;
    const auto pool = page_pool::create({.name = "bench_frames", .pages = 1024});
    const auto hooks = xdp::register_port(0, kOps, nullptr);
    auto object = ebpf::loader::Object::load(CREMA_BPF_DIR "/drop.bpf.o");
    const auto program = object ? object->program("") : forward_error(object);
    if (!pool || !hooks || !program || !xdp::attach(0, *program)) {
        (void)std::fprintf(stderr, "bench: no port with drop.bpf.o can be made\n");
        return 1;
    }
    page_pool::set_owner(*pool, rte_lcore_id());
    bench = {.pool = *pool, .hook = *hooks, .program = *program};
    constexpr std::uint16_t kReturn = 0x06;  // BPF_RET | BPF_K
    static const std::array<Kind, 6> kinds = {{
        {.name = "off", .captures = false, .reads = false, .spec = {.filter = {}}},
        {.name = "filter_takes_none",
         .captures = true,
         .reads = true,
         .spec = {.filter = {{.code = kReturn, .jump_true = 0, .jump_false = 0, .k = 0}}}},
        {.name = "entry_64", .captures = true, .reads = true, .spec = {.filter = {}}},
        {.name = "exit_64",
         .captures = true,
         .reads = true,
         .spec = {.at_entry = false, .at_exit = true, .filter = {}}},
        {.name = "entry_exit_64",
         .captures = true,
         .reads = true,
         .spec = {.at_entry = true, .at_exit = true, .filter = {}}},
        {.name = "full",
         .captures = true,
         .reads = false,
         .spec = {.ring_bytes = xdp::kCaptureRingMin, .filter = {}}},
    }};
    for (const Kind& kind : kinds) {
        benchmark::RegisterBenchmark((std::string("BM_Capture/") + kind.name).c_str(),
                                     [&kind](benchmark::State& state) { run(state, bench, kind); });
    }
    return bench::run_benchmarks(argc, argv,
                                 "frames of 64 bytes, dropped by a program, bursts of 32");
}
