// SPDX-License-Identifier: BSD-3-Clause
//
// Wire "pcap:IN[:OUT]": frames of a capture file come in, read whole at the start and handed out
// as fast as they are taken; what the port sends goes to OUT, stamped with real time in
// nanoseconds and complete when the wire is closed. IN may be empty. Captures hold frames as a
// host hands them to its MAC, so short ones are padded as that MAC would have; frames cut by the
// snap length are left out and counted.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <pcap/pcap.h>
#include <time.h>
#include <vector>

#include "drivers/model/neta/wires/wire.h"
#include "lib/base/log.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {
namespace {

struct PcapClose {
    void operator()(pcap_t* handle) const { ::pcap_close(handle); }
};

struct DumpClose {
    void operator()(pcap_dumper_t* dump) const { ::pcap_dump_close(dump); }
};

using PcapHandle = std::unique_ptr<pcap_t, PcapClose>;
using DumpHandle = std::unique_ptr<pcap_dumper_t, DumpClose>;

class PcapWire final : public Wire {
  public:
    explicit PcapWire(std::string text) : text_(std::move(text)) {}

    ~PcapWire() override {
        if (dump_ != nullptr && ::pcap_dump_flush(dump_.get()) != 0) {
            log::error("wire pcap:{}: writing the capture failed: {}", text_, std::strerror(errno));
        }
        add(losses_.stranded, frames_.size() - next_);
    }

    PcapWire(const PcapWire&) = delete;
    PcapWire& operator=(const PcapWire&) = delete;

    Status load(const std::string& path);
    Status create(const std::string& path);

    std::uint32_t receive(std::span<WireFrame> frames) override {
        const std::size_t count = std::min(frames.size(), frames_.size() - next_);
        for (std::size_t i = 0; i < count; ++i) {
            const Entry& entry = frames_[next_ + i];
            frames[i] = {&bytes_[entry.start], entry.bytes, false, nullptr};
        }
        next_ += count;
        return static_cast<std::uint32_t>(count);
    }

    void send(std::span<const WireFrame> frames) override {
        if (dump_ == nullptr) {
            return;
        }
        timespec now{};
        (void)::clock_gettime(CLOCK_REALTIME, &now);
        for (const WireFrame& frame : frames) {
            pcap_pkthdr header{};
            header.ts.tv_sec = now.tv_sec;
            header.ts.tv_usec = now.tv_nsec;  // the file says nanoseconds
            header.caplen = frame.bytes;
            header.len = frame.bytes;
            ::pcap_dump(reinterpret_cast<u_char*>(dump_.get()), &header, frame.data);
        }
    }

    bool link() override { return true; }

    [[nodiscard]] bool patient() const override { return true; }

    [[nodiscard]] std::string describe() const override { return "pcap:" + text_; }

  private:
    struct Entry {
        std::size_t start;
        std::uint32_t bytes;
    };

    std::string text_;
    std::vector<std::uint8_t> bytes_;
    std::vector<Entry> frames_;
    std::size_t next_ = 0;
    PcapHandle dead_;  // declared before dump_: closed after it
    DumpHandle dump_;
};

Status PcapWire::load(const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "rbe");
    if (file == nullptr) {
        const int error = errno;
        return fail(error, "cannot read {}: {}", path, std::strerror(error));
    }
    char reason[PCAP_ERRBUF_SIZE] = "";
    const PcapHandle capture(
        ::pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason));
    if (capture == nullptr) {
        (void)std::fclose(file);
        return fail(EINVAL, "{} is not a capture: {}", path, reason);
    }
    if (::pcap_datalink(capture.get()) != DLT_EN10MB) {
        return fail(EINVAL, "{} holds no Ethernet frames (link type {})", path,
                    ::pcap_datalink(capture.get()));
    }
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    int got = 0;
    while ((got = ::pcap_next_ex(capture.get(), &header, &data)) == 1) {
        if (header->caplen != header->len || header->len > kWireFrameMax) {
            add(losses_.rx_size);
            continue;
        }
        frames_.push_back({bytes_.size(), std::max<std::uint32_t>(header->len, kMinFrame)});
        bytes_.insert(bytes_.end(), data, data + header->len);
        bytes_.resize(frames_.back().start + frames_.back().bytes, 0);
    }
    if (got == PCAP_ERROR) {
        return fail(EINVAL, "{} is damaged: {}", path, ::pcap_geterr(capture.get()));
    }
    if (losses_.rx_size.load(std::memory_order_relaxed) != 0) {
        log::warning("wire pcap:{}: {} frames left out: cut by the snap length, or too long", text_,
                     losses_.rx_size.load(std::memory_order_relaxed));
    }
    return {};
}

Status PcapWire::create(const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "wbe");
    if (file == nullptr) {
        const int error = errno;
        return fail(error, "cannot write {}: {}", path, std::strerror(error));
    }
    dead_.reset(::pcap_open_dead_with_tstamp_precision(DLT_EN10MB, kWireFrameMax,
                                                       PCAP_TSTAMP_PRECISION_NANO));
    if (dead_ != nullptr) {
        dump_.reset(::pcap_dump_fopen(dead_.get(), file));
    }
    if (dump_ == nullptr) {
        (void)std::fclose(file);
        return fail(EIO, "cannot start the capture {}", path);
    }
    return {};
}

}  // namespace

WireResult open_pcap_wire(const std::string& args) {
    const auto colon = args.find(':');
    const std::string in = args.substr(0, colon);
    const std::string out = colon == std::string::npos ? "" : args.substr(colon + 1);
    if ((in.empty() && out.empty()) || in == out) {
        return fail(EINVAL, "wire=pcap:{}: want pcap:IN[:OUT] with two different files", args);
    }
    auto wire = std::make_unique<PcapWire>(args);
    if (!in.empty()) {
        if (const Status loaded = wire->load(in); !loaded) {
            return fail(loaded.error().code, "wire=pcap:{}: {}", args, loaded.error().message);
        }
    }
    if (!out.empty()) {
        if (const Status created = wire->create(out); !created) {
            return fail(created.error().code, "wire=pcap:{}: {}", args, created.error().message);
        }
    }
    return std::unique_ptr<Wire>(std::move(wire));
}

}  // namespace crema::neta::model
