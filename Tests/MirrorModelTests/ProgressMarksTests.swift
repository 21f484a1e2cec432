import MirrorModel
import TestSupport
import Testing

/// What an in-progress mark speaks for.
@Suite struct ProgressMarksTests {
  @Test(
    .promise("CLS-2"),
    arguments: [
      ("X-unfinished", "X", true), ("X-unfinished", "X/a", true), ("X-unfinished", "X/a/b", true),
      ("X-unfinished", "X.ckpt", true), ("X-unfinished", "X.nemo", true),
      ("X-unfinished", "X-EMA.ckpt", true),
      ("X-unfinished", "mp_rank_00/X.ckpt", true), ("X-unfinished", "Xa", false),
      ("X-unfinished", "Y/a", false),
      ("X-unfinished", "X-last.ckpt", false), ("X-unfinished", "X-unfinished", false),
      ("d/X-unfinished", "d/X/a", true), ("d/X-unfinished", "X/a", false), ("d/X-unfinished", "d", false),
      ("step=1-unfinished", "step=10/a", false), ("step=1-unfinished", "step=1/a", true),
    ] as [(String, String, Bool)])
  func `a mark speaks for the name before its suffix, for what is in it and for its extensions`(
    mark: String, path: String, isSpokenFor: Bool
  ) throws {
    let marks = try ProgressMarks(["*-unfinished"])
    #expect(marks.contains(RelativePath(mark)))
    #expect(marks.speaks(RelativePath(mark), for: RelativePath(path)) == isSpokenFor)
  }

  @Test(.promise("CLS-2")) func `a mark of a pattern without a star speaks for its directory`() throws {
    let marks = try ProgressMarks(["SAVING"])
    #expect(marks.speaks("d/SAVING", for: "d/a"))
    #expect(marks.speaks("d/SAVING", for: "d/e/a"))
    #expect(!marks.speaks("d/SAVING", for: "a"))
    #expect(!marks.speaks("d/SAVING", for: "d/SAVING"))
  }

  @Test func `without patterns nothing is a mark`() throws {
    #expect(try ProgressMarks([]).isEmpty)
    #expect(!ProgressMarks.none.contains("X-unfinished"))
  }
}
