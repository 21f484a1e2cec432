import MirrorModel

/// The member of a group for which a restore fetches its own part of a checkpoint.
struct MemberPart: Sendable {
  var member: Int
  /// How many members the group has.
  var count: Int

  /// - Returns: nil if a restore fetches everything.
  /// - Throws: `MirrorError` if the options name no group.
  init?(_ extent: RestoreExtent, _ group: Options.Group?) throws(MirrorError) {
    switch extent {
    case .everything: return nil
    case .ownPart:
      guard let group else {
        throw MirrorError(
          .invalid,
          "a part of a checkpoint is that of a group's member, and no group is set; write --group NAME --member K --members N, or --group auto"
        )
      }
      // A group of one behaves as none.
      guard group.isShared else { return nil }
      (member, count) = (group.member, group.members)
    }
  }

  /// What the member wrote of a checkpoint. The group's name does not count: a job that is started again may have
  /// another one.
  ///
  /// - Throws: `MirrorError` if that is not known.
  func part(of judged: UnitReader.Judged) throws(MirrorError) -> UnitReader.Judged {
    let unit = judged.unit.path
    guard let group = judged.group else {
      throw MirrorError(
        .incomplete,
        "\(unit) has no receipts of a group's members, so it is not known what member \(member) wrote; leave --member-only out"
      )
    }
    guard group.place.count == count else {
      throw MirrorError(
        .incomplete,
        "\(unit) was written by \(group.place.count) members, and this group has \(count); leave --member-only out"
      )
    }
    let named: Set<RelativePath>
    do {
      named = try group.named(by: member)
    } catch {
      throw MirrorError(
        .incomplete,
        "the receipt of member \(member) for \(unit) cannot be used: \(error.reason); leave --member-only out"
      )
    }
    var part = judged
    part.objects = judged.objects.filter { named.contains($0.key) }
    part.emptyDirectories = []
    return part
  }
}
