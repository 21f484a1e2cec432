import LocalTree
import MirrorModel
import Testing

/// Which directories may have files out of sight because of what is mounted there.
@Suite struct MountBaselineTests {
  private let disk = Mount(id: 70, major: 8, minor: 17, inode: 2, birth: 0, filesystem: "ext4 /dev/sdb1")
  private let memory = Mount(id: 71, major: 0, minor: 40, inode: 1, birth: 1_000, filesystem: "tmpfs none")
  private let share = Mount(id: 72, major: 0, minor: 41, inode: 9, birth: 0, filesystem: "nfs4 host:/x")

  private func changed(_ mount: Mount, _ change: (inout Mount) -> Void) -> Mount {
    var copy = mount
    change(&copy)
    return copy
  }

  @Test func `what is mounted as it was at entry is in sight`() {
    let baseline = MountBaseline(["m": disk, "a/n": memory])
    #expect(baseline.altered(by: ["m": disk, "a/n": memory]) == [])
    #expect(MountBaseline([:]).altered(by: [:]) == [])
  }

  @Test func `an unmounted place, and one that was mounted over, may hide files`() {
    let baseline = MountBaseline(["m": disk])
    #expect(baseline.altered(by: [:]) == ["m"])
    #expect(baseline.altered(by: ["m": disk, "d": memory]) == ["d"])
    #expect(baseline.altered(by: ["m": memory]) == ["m"])
  }

  @Test func `the same filesystem is in sight again, whatever number its mount has`() {
    let baseline = MountBaseline(["m": disk, "n": memory])
    let (disk, memory) = (changed(disk) { $0.id = 90 }, changed(memory) { $0.id = 91 })
    #expect(baseline.altered(by: ["m": disk, "n": memory]) == [])
  }

  @Test func `a number that is given once says that it is the same mount`() {
    // A followed link's target may be replaced on the filesystem that it is on.
    let first = changed(memory) { $0.id = 1 << 31 }
    let second = changed(first) { $0.inode = 77 }
    #expect(MountBaseline(["link": first]).altered(by: ["link": second]) == [])
    let reused = changed(memory) { $0.inode = 77 }
    #expect(MountBaseline(["link": memory]).altered(by: ["link": reused]) == ["link"])
  }

  @Test func `another filesystem that got the numbers of the first is another one`() {
    // The kernel gives device, inode and mount ID of an unmounted tmpfs to the next one.
    let later = changed(memory) { $0.birth = 2_000 }
    #expect(MountBaseline(["n": memory]).altered(by: ["n": later]) == ["n"])
    let other = changed(share) { $0.filesystem = "nfs4 host:/y" }
    #expect(MountBaseline(["s": share]).altered(by: ["s": other]) == ["s"])
    // Neither device nor birth says that it is the same one.
    let again = changed(share) { $0.id = 99 }
    #expect(MountBaseline(["s": share]).altered(by: ["s": again]) == ["s"])
    let part = changed(disk) { $0.inode = 77 }
    #expect(MountBaseline(["m": disk]).altered(by: ["m": part]) == ["m"])
  }

  @Test func `a mount that hides another one hides its files too`() {
    let baseline = MountBaseline(["d/m": disk])
    let altered = baseline.altered(by: ["d": memory])
    #expect(altered == ["d", "d/m"])
    #expect(altered.outermost(around: "d/m/x") == "d")
    #expect(altered.outermost(around: "d") == "d")
    #expect(altered.outermost(around: "d/") == "d")
    #expect(altered.outermost(around: "da/x") == nil)
  }

  @Test func `a mount that its directory's rename took along hides nothing`() {
    let baseline = MountBaseline(["a/m": disk])
    #expect(baseline.altered(by: ["b/m": disk]) == [])
    #expect(baseline.altered(by: ["b/m": memory]) == ["a/m", "b/m"])
  }

  @Test func `what was accepted is expected from then on`() {
    var baseline = MountBaseline(["m": disk])
    baseline.accept(memory, at: "d")
    baseline.accept(nil, at: "m")
    #expect(baseline.altered(by: ["d": memory]) == [])
    #expect(baseline.altered(by: [:]) == ["d"])
    #expect(baseline.altered(by: ["d": memory, "m": disk]) == ["m"])
  }
}
