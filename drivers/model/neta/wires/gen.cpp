// SPDX-License-Identifier: BSD-3-Clause
//
// Wire "gen[:KEY=VALUE...]": a built-in traffic source. Frames are built once, one per flow, and
// handed out as views in turn, so that a receive benchmark measures the receiver. Deterministic.
// What the port sends is dropped. Without a rate the generator waits for the receiver and loses
// nothing; with one it keeps its pace and the port discards what it cannot take.
// Keys, separated by ',' ';' or ':' (the comma is taken by DPDK's device arguments):
//   len=64      bytes on the wire with FCS; raised to what the headers need
//   count=0     frames in all; 0 = endless
//   rate=0      frames per second; 0 = as fast as they are taken
//   flows=1     different source addresses and ports, 1..65536
//   proto=udp   one of udp tcp icmp arp, or several joined by '+', flow by flow
//   dport=9     destination port of udp and tcp
//   seed=1      of the payload bytes and source ports
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>
#include <vector>

#include "drivers/model/neta/checksum.h"
#include "drivers/model/neta/wires/wire.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kFlowsMax = 65536;
constexpr std::uint32_t kEtherHeader = 14;
constexpr std::uint32_t kIpHeader = 20;

enum class Protocol : std::uint8_t { udp, tcp, icmp, arp };

struct Settings {
    std::uint64_t len = 64;
    std::uint64_t count = 0;
    std::uint64_t rate = 0;
    std::uint64_t flows = 1;
    std::uint64_t dport = 9;
    std::uint64_t seed = 1;
    std::vector<Protocol> protocols{Protocol::udp};
};

// xorshift64: reproducible on every machine.
struct Random {
    std::uint64_t state;

    std::uint64_t next() {
        state ^= state << 13U;
        state ^= state >> 7U;
        state ^= state << 17U;
        return state;
    }
};

void put_be16(std::uint8_t* at, std::uint64_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8U);
    at[1] = static_cast<std::uint8_t>(value);
}

void put_be32(std::uint8_t* at, std::uint64_t value) {
    put_be16(at, value >> 16U);
    put_be16(at + 2, value);
}

void put_sum(std::uint8_t* at, std::uint64_t sum) {
    const auto value = static_cast<std::uint16_t>(~fold_sum(sum));
    std::memcpy(at, &value, sizeof(value));
}

std::uint32_t headers_of(Protocol protocol) {
    switch (protocol) {
        case Protocol::udp:
        case Protocol::icmp:
            return kEtherHeader + kIpHeader + 8;
        case Protocol::tcp:
            return kEtherHeader + kIpHeader + 20;
        case Protocol::arp:
            break;
    }
    return kEtherHeader + 28;
}

// 10.0.0.0/16 talks to 10.255.0.1.
constexpr std::uint32_t kSourceNet = 0x0a000002;
constexpr std::uint32_t kDestination = 0x0aff0001;

void build_arp(std::uint8_t* frame, std::uint64_t flow) {
    std::memset(frame, 0xff, 6);
    put_be16(frame + 12, 0x0806);
    std::uint8_t* const arp = frame + kEtherHeader;
    put_be16(arp, 1);
    put_be16(arp + 2, 0x0800);
    arp[4] = 6;
    arp[5] = 4;
    put_be16(arp + 6, 1);
    std::memcpy(arp + 8, frame + 6, 6);
    put_be32(arp + 14, kSourceNet + flow);
    std::memset(arp + 18, 0, 6);
    put_be32(arp + 24, kDestination);
}

void build_l4(Protocol protocol,
              std::uint8_t* ip,
              std::uint32_t l4_bytes,
              std::uint16_t sport,
              std::uint64_t dport) {
    std::uint8_t* const l4 = ip + kIpHeader;
    if (protocol == Protocol::icmp) {
        l4[0] = 8;
        l4[1] = 0;
        put_be16(l4 + 2, 0);
        put_sum(l4 + 2, sum_bytes(l4, l4_bytes));
        return;
    }
    put_be16(l4, sport);
    put_be16(l4 + 2, dport);
    std::uint8_t* field = l4 + 6;
    if (protocol == Protocol::udp) {
        put_be16(l4 + 4, l4_bytes);
    } else {
        put_be32(l4 + 4, 1);
        put_be32(l4 + 8, 1);
        put_be16(l4 + 12, 0x5010);  // 20-byte header, ACK
        put_be16(l4 + 14, 0xffff);
        put_be16(l4 + 18, 0);
        field = l4 + 16;
    }
    put_be16(field, 0);
    auto sum = sum_number(ip[9], sum_bytes(ip + 12, 8));
    sum = sum_number(static_cast<std::uint16_t>(l4_bytes), sum);
    put_sum(field, sum_bytes(l4, l4_bytes, sum));
}

void build_frame(const Settings& settings,
                 const MacAddress& mac,
                 std::uint64_t flow,
                 Random& random,
                 std::vector<std::uint8_t>& frame) {
    const Protocol protocol = settings.protocols[flow % settings.protocols.size()];
    const auto wanted = static_cast<std::uint32_t>(settings.len) - kFcsBytes;
    const std::uint32_t bytes = std::max({wanted, headers_of(protocol), kMinFrame});
    frame.resize(bytes);
    for (auto& byte : frame) {
        byte = static_cast<std::uint8_t>(random.next() >> 32U);
    }
    std::memcpy(frame.data(), mac.data(), mac.size());
    const std::uint8_t source[6] = {0x02,
                                    0x67,
                                    0x65,
                                    0x6e,
                                    static_cast<std::uint8_t>(flow >> 8U),
                                    static_cast<std::uint8_t>(flow)};
    std::memcpy(frame.data() + 6, source, sizeof(source));
    if (protocol == Protocol::arp) {
        build_arp(frame.data(), flow);
        return;
    }
    put_be16(frame.data() + 12, 0x0800);
    std::uint8_t* const ip = frame.data() + kEtherHeader;
    const std::uint32_t ip_bytes = bytes - kEtherHeader;
    ip[0] = 0x45;
    ip[1] = 0;
    put_be16(ip + 2, ip_bytes);
    put_be32(ip + 4, 0x00004000);  // don't fragment
    ip[8] = 64;
    ip[9] = protocol == Protocol::udp ? 17 : protocol == Protocol::tcp ? 6 : 1;
    put_be16(ip + 10, 0);
    put_be32(ip + 12, kSourceNet + flow);
    put_be32(ip + 16, kDestination);
    put_sum(ip + 10, sum_bytes(ip, kIpHeader));
    const auto sport = static_cast<std::uint16_t>(1024 + (random.next() >> 32U) % 64000);
    build_l4(protocol, ip, ip_bytes - kIpHeader, sport, settings.dport);
}

class GenWire final : public Wire {
  public:
    GenWire(const Settings& settings, const MacAddress& mac, std::string text)
        : text_(std::move(text)), count_(settings.count), rate_(settings.rate) {
        Random random{settings.seed * 0x9e3779b97f4a7c15U | 1U};
        std::vector<std::uint8_t> frame;
        std::vector<std::size_t> starts;
        for (std::uint64_t flow = 0; flow < settings.flows; ++flow) {
            build_frame(settings, mac, flow, random, frame);
            starts.push_back(bytes_.size());
            templates_.push_back(
                {nullptr, static_cast<std::uint32_t>(frame.size()), false, nullptr});
            bytes_.insert(bytes_.end(), frame.begin(), frame.end());
            bytes_.resize((bytes_.size() + 63) & ~std::size_t{63});
        }
        facts_.resize(templates_.size());
        for (std::size_t i = 0; i < templates_.size(); ++i) {
            templates_[i].data = &bytes_[starts[i]];
            templates_[i].facts = &facts_[i];
        }
    }

    std::uint32_t receive(std::span<WireFrame> frames) override {
        std::uint64_t wanted = frames.size();
        if (count_ != 0) {
            wanted = std::min(wanted, count_ - sent_);
        }
        if (rate_ != 0) {
            wanted = std::min(wanted, due() - sent_);
        }
        for (std::uint64_t i = 0; i < wanted; ++i) {
            frames[i] = templates_[next_];
            next_ = next_ + 1 == templates_.size() ? 0 : next_ + 1;
        }
        sent_ += wanted;
        return static_cast<std::uint32_t>(wanted);
    }

    void send(std::span<const WireFrame> /*frames*/) override {}

    bool link() override { return true; }

    [[nodiscard]] bool patient() const override { return rate_ == 0; }

    [[nodiscard]] std::string describe() const override {
        return text_.empty() ? "gen" : "gen:" + text_;
    }

  private:
    // Frames that a source of this rate would have sent since the first call.
    std::uint64_t due() {
        const auto now = std::chrono::steady_clock::now();
        if (start_ == std::chrono::steady_clock::time_point{}) {
            start_ = now;
        }
        const std::chrono::duration<double> elapsed = now - start_;
        return std::max(sent_,
                        static_cast<std::uint64_t>(elapsed.count() * static_cast<double>(rate_)));
    }

    std::string text_;
    std::uint64_t count_;
    std::uint64_t rate_;
    std::uint64_t sent_ = 0;
    std::size_t next_ = 0;
    std::chrono::steady_clock::time_point start_{};
    std::vector<std::uint8_t> bytes_;
    std::vector<WireFrame> templates_;
    std::vector<FrameFacts> facts_;
};

Status parse_protocols(std::string_view text, Settings& settings) {
    settings.protocols.clear();
    while (!text.empty()) {
        const auto end = text.find_first_of("+|");
        const std::string_view name = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (name == "udp") {
            settings.protocols.push_back(Protocol::udp);
        } else if (name == "tcp") {
            settings.protocols.push_back(Protocol::tcp);
        } else if (name == "icmp") {
            settings.protocols.push_back(Protocol::icmp);
        } else if (name == "arp") {
            settings.protocols.push_back(Protocol::arp);
        } else {
            return fail(EINVAL, "unknown protocol '{}'; want udp, tcp, icmp or arp", name);
        }
    }
    if (settings.protocols.empty()) {
        return fail(EINVAL, "proto= names no protocol");
    }
    return {};
}

struct NumberKey {
    std::string_view name;
    std::uint64_t Settings::*field;
    std::uint64_t min;
    std::uint64_t max;
};

constexpr NumberKey kNumberKeys[] = {
    {"len", &Settings::len, 64, kWireFrameMax + kFcsBytes},
    {"count", &Settings::count, 0, ~std::uint64_t{0}},
    {"rate", &Settings::rate, 0, 1'000'000'000},
    {"flows", &Settings::flows, 1, kFlowsMax},
    {"dport", &Settings::dport, 0, 65535},
    {"seed", &Settings::seed, 0, ~std::uint64_t{0}},
};

Status parse_number(std::string_view key, std::string_view value, Settings& settings) {
    for (const NumberKey& known : kNumberKeys) {
        if (known.name != key) {
            continue;
        }
        std::uint64_t number = 0;
        const char* const end = value.data() + value.size();
        const auto [rest, error] = std::from_chars(value.data(), end, number);
        if (error != std::errc{} || rest != end || number < known.min || number > known.max) {
            return fail(EINVAL, "{}={}: want a number from {} to {}", key, value, known.min,
                        known.max);
        }
        settings.*known.field = number;
        return {};
    }
    return fail(EINVAL, "unknown key '{}'; want len, count, rate, flows, proto, dport or seed",
                key);
}

Result<Settings> parse_settings(std::string_view text) {
    Settings settings;
    while (!text.empty()) {
        const auto end = text.find_first_of(",;:");
        const std::string_view item = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        const auto equals = item.find('=');
        if (equals == std::string_view::npos) {
            return fail(EINVAL, "'{}': want KEY=VALUE", item);
        }
        const std::string_view key = item.substr(0, equals);
        const std::string_view value = item.substr(equals + 1);
        const Status parsed =
            key == "proto" ? parse_protocols(value, settings) : parse_number(key, value, settings);
        if (!parsed) {
            return forward_error(parsed);
        }
    }
    if (settings.flows * (settings.len + 64) > (std::uint64_t{1} << 28U)) {
        return fail(EINVAL, "flows={} of len={} need more than 256 MiB", settings.flows,
                    settings.len);
    }
    return settings;
}

}  // namespace

WireResult open_gen_wire(const std::string& args, const MacAddress& mac) {
    const auto settings = parse_settings(args);
    if (!settings) {
        return fail(settings.error().code, "wire=gen:{}: {}", args, settings.error().message);
    }
    return std::unique_ptr<Wire>(std::make_unique<GenWire>(*settings, mac, args));
}

}  // namespace crema::neta::model
