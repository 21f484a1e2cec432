import MirrorModel
import TestSupport
import Testing

/// How many requests a group sends. The Groups page has these formulas, and what they cost.
@Suite struct GroupTrafficTests {
  private static let sizes = [2, 8, 64]

  private func entered(_ count: Int) -> GroupTraffic {
    var traffic = GroupTraffic(members: count)
    traffic.run(seconds: 120)
    return traffic
  }

  @Test(.promise("GRP-8"), arguments: sizes)
  func `a group at rest sends six listings a minute and member, and nothing else`(count: Int) {
    var traffic = entered(count)
    traffic.forgetCounts()
    traffic.run(seconds: 600)
    for counts in traffic.counts {
      #expect(counts.puts == 0)
      #expect(counts.gets == 0)
      #expect((55...60).contains(counts.lists))
    }
    print("group of \(count) at rest, 10 minutes: \(traffic.total)")
  }

  @Test(.promise("GRP-8"), arguments: sizes)
  func `a checkpoint costs what the formula says`(count: Int) throws {
    var traffic = entered(count)
    // The claims are a while old, as between two checkpoints.
    traffic.run(seconds: 300)
    traffic.forgetCounts()
    let start = traffic.time
    traffic.saveCheckpoint()
    traffic.run(seconds: 60)
    let published = try #require(traffic.published)
    let total = traffic.total
    print(
      "group of \(count), a checkpoint: \(total), marker after \(Double(published - start) / 1e9) s, "
        + "of the holder \(traffic.counts[0]), of another \(traffic.counts[count - 1])")
    // Each member confirms its claim, then what it has published, then that it has answered the question. The
    // holder's question goes with its second confirmation.
    #expect(total.puts == 3 * count)
    // Each other member reads a slot that was written, and two writes in one second by one reading.
    let each = 2 * count * (count - 1)
    #expect((each * 3 / 4...each).contains(total.gets))
    // One listing a second while the attention lasts, and six a minute after it.
    #expect((count * 17...count * 20).contains(total.lists))
    // The others look every ten seconds.
    #expect(published - start <= 16 * GroupTraffic.second)
  }

  @Test(.promise("GRP-8"), arguments: sizes)
  func `a marker that waits costs one listing a second, and the others nothing beyond their interval`(
    count: Int
  ) {
    var traffic = entered(count)
    traffic.silence(count - 1)
    traffic.saveCheckpoint()
    // What the others publish is over, and their attention too.
    traffic.run(seconds: 60)
    traffic.forgetCounts()
    traffic.run(seconds: 300)
    #expect(traffic.published == nil)
    let holder = traffic.counts[0]
    print("group of \(count), a silent member, 5 minutes: of the holder \(holder), in all \(traffic.total)")
    #expect((250...300).contains(holder.lists))
    #expect(holder.puts == 0)
    #expect(holder.gets == 0)
    for counts in traffic.counts[1...] {
      #expect(counts.lists <= 30)
      #expect(counts.puts == 0)
      #expect(counts.gets == 0)
    }
  }

  @Test(.promise("GRP-8")) func `a member that always publishes confirms its claim twice a minute at most`() {
    var traffic = entered(8)
    traffic.forgetCounts()
    for _ in 0..<600 {
      traffic.change(3)
      traffic.run(seconds: 1)
    }
    print("group of 8, one publishes for 10 minutes: \(traffic.counts[3]), another \(traffic.counts[4])")
    #expect(traffic.counts[3].puts <= 20)
    #expect(traffic.counts[3].lists <= 240)
    #expect(traffic.counts[4].puts == 0)
    #expect(traffic.counts[4].lists <= 60)
    #expect(traffic.counts[4].gets <= 20)
  }

  /// AWS's price list for S3 Standard in us-east-1, in dollars for one request.
  private func dollars(_ counts: GroupTraffic.Counts) -> Double {
    Double(counts.puts + counts.lists) * 5e-6 + Double(counts.gets) * 4e-7
  }

  /// The Groups page has these sums.
  @Test(.promise("GRP-8")) func `what 64 hosts cost`() {
    var traffic = entered(64)
    print("group of 64, the first two minutes: \(traffic.total), \(dollars(traffic.total)) dollars")
    #expect(traffic.counts.allSatisfy { $0.puts == 2 && $0.gets <= 2 * 63 })
    traffic.forgetCounts()
    traffic.run(seconds: 600)
    let day = dollars(traffic.total) * 144
    traffic.run(seconds: 300)
    traffic.forgetCounts()
    traffic.saveCheckpoint()
    traffic.run(seconds: 60)
    let checkpoint = dollars(traffic.total)
    print("group of 64: \(day) dollars a day at rest, \(checkpoint) dollars a checkpoint")
    #expect((2.75...2.77).contains(day))
    #expect((0.010...0.011).contains(checkpoint))
  }
}
