/// A group of AWS regions with hosts of its own. The names and suffixes are those of the SDKs' `partitions.json`; see the AWS
/// General Reference, "AWS service endpoints", and the IAM User Guide, "Amazon Resource Names", on partitions.
package struct AWSPartition: Sendable, Hashable {
  package let name: String
  /// What the hosts of its services end in: `amazonaws.com`.
  package let dnsSuffix: String
  /// The same for hosts that have IPv6 addresses too. S3 does without: its dual-stack hosts have a label of their own.
  package let dualStackDNSSuffix: String

  /// The partition that a region belongs to, by the beginning of its name: new regions come more often than partitions do.
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

  /// China has no FIPS endpoints (the SDKs' endpoint rules of S3 refuse them there).
  package var hasFIPS: Bool { name != "aws-cn" }
}

/// Which of a service's hosts in a region (S3 User Guide, "Using Amazon S3 dual-stack endpoints"; AWS General Reference, "FIPS
/// endpoints").
package struct EndpointVariant: OptionSet, Sendable, Hashable {
  package let rawValue: Int
  package static let fips = EndpointVariant(rawValue: 1)
  package static let dualStack = EndpointVariant(rawValue: 2)

  package init(rawValue: Int) {
    self.rawValue = rawValue
  }
}

/// Whether a text can be a region's name: a label of a host's name (RFC 1123 §2.1), since it becomes one. Anything
/// else, such as `evil.com/#`, would make another host of AWS's.
package func isRegionName(_ text: String) -> Bool {
  let isWord = text.utf8.allSatisfy { byte in
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
      || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
  }
  return isWord && (1...63).contains(text.utf8.count) && text.utf8.first != UInt8(ascii: "-")
    && text.utf8.last != UInt8(ascii: "-")
}
