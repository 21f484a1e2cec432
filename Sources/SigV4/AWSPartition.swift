/// A group of AWS regions with hosts of its own. The names and suffixes are those of the SDKs'
/// `partitions.json`; for partitions see the AWS General Reference, "AWS service endpoints", and the IAM User
/// Guide, "Amazon Resource Names".
package struct AWSPartition: Sendable, Hashable {
  package let name: String
  /// The ending of its services' host names, such as `amazonaws.com`.
  package let dnsSuffix: String
  /// The ending for hosts that also have IPv6 addresses. S3 does not use it: its dual-stack hosts have a
  /// label of their own.
  package let dualStackDNSSuffix: String

  /// The partition of a region, by the beginning of the region's name, because new regions appear more often
  /// than new partitions.
  package init(ofRegion region: String) {
    self = Self.byPrefix.first { region.utf8.starts(with: $0.prefix.utf8) }?.partition ?? .standard
  }

  private init(_ name: String, _ dnsSuffix: String, dualStack: String) {
    self.name = name
    self.dnsSuffix = dnsSuffix
    dualStackDNSSuffix = dualStack
  }

  package static let standard = AWSPartition("aws", "amazonaws.com", dualStack: "api.aws")

  private static let byPrefix: [(prefix: String, partition: AWSPartition)] = [
    ("cn-", AWSPartition("aws-cn", "amazonaws.com.cn", dualStack: "api.amazonwebservices.com.cn")),
    ("us-gov-", AWSPartition("aws-us-gov", "amazonaws.com", dualStack: "api.aws")),
    ("us-iso-", AWSPartition("aws-iso", "c2s.ic.gov", dualStack: "api.aws.ic.gov")),
    ("us-isob-", AWSPartition("aws-iso-b", "sc2s.sgov.gov", dualStack: "api.aws.scloud")),
    ("eu-isoe-", AWSPartition("aws-iso-e", "cloud.adc-e.uk", dualStack: "api.cloud-aws.adc-e.uk")),
    ("us-isof-", AWSPartition("aws-iso-f", "csp.hci.ic.gov", dualStack: "api.aws.hci.ic.gov")),
    ("eusc-", AWSPartition("aws-eusc", "amazonaws.eu", dualStack: "api.amazonwebservices.eu")),
  ]

  /// China has no FIPS endpoints (the SDKs' endpoint rules for S3 reject them there).
  package var hasFIPS: Bool { name != "aws-cn" }
}

/// Which of a service's hosts in a region (S3 User Guide, "Using Amazon S3 dual-stack endpoints"; AWS General
/// Reference, "FIPS endpoints").
package struct EndpointVariant: OptionSet, Sendable, Hashable {
  package let rawValue: Int
  package static let fips = EndpointVariant(rawValue: 1)
  package static let dualStack = EndpointVariant(rawValue: 2)

  package init(rawValue: Int) {
    self.rawValue = rawValue
  }
}

/// Whether a text can be the name of a region: a label of a host name (RFC 1123 §2.1), because it becomes
/// one. Other text, such as `evil.com/#`, would change AWS's host into another one.
package func isRegionName(_ text: String) -> Bool {
  let isWord = text.utf8.allSatisfy { byte in
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
      || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
  }
  return isWord && (1...63).contains(text.utf8.count) && text.utf8.first != UInt8(ascii: "-")
    && text.utf8.last != UInt8(ascii: "-")
}
