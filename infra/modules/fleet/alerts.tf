# What wakes somebody. Everything here is seen from outside the machines: they send nothing.

locals {
  channels = [for channel in google_monitoring_notification_channel.email : channel.id]
  group    = "resource.type = \"instance_group\" AND resource.labels.instance_group_name = \"${var.name}\""
  size     = "${local.group} AND metric.type = \"compute.googleapis.com/instance_group/size\""
  answers = join(" AND ", [
    "resource.type = \"uptime_url\"",
    "metric.labels.check_id = \"${google_monitoring_uptime_check_config.answers.uptime_check_id}\"",
  ])

  # Changes to what machines are, to who may reach them, or to who they are. A deployment of ours rings too.
  hands = join("|", [
    "compute[.]instances[.](insert|setMetadata|setServiceAccount|addAccessConfig|attachDisk|detachDisk|update)",
    "compute[.](projects[.]setCommonInstanceMetadata|regionInstanceTemplates[.]insert|instanceTemplates[.]insert)",
    "compute[.](networkFirewallPolicies|firewalls|routes)[.]",
    "iam[.]admin[.]v1[.](CreateServiceAccountKey|SetIAMPolicy)",
    "SetIamPolicy",
  ])
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  project      = var.project
  display_name = each.value
  type         = "email"
  labels = {
    email_address = each.value
  }
}

resource "google_monitoring_uptime_check_config" "answers" {
  project      = var.project
  display_name = "${var.name} answers"
  period       = "60s"
  timeout      = "10s"

  http_check {
    path         = "/health/ready"
    port         = 443
    use_ssl      = true
    validate_ssl = try(var.deployment.gateway.tls.mode, "") != "embassy"
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = var.host == null ? google_compute_address.sealed.address : var.host
    }
  }
}

resource "google_monitoring_alert_policy" "unanswered" {
  project               = var.project
  display_name          = "${var.name}: nobody answers"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.channels

  conditions {
    display_name = "readiness fails in two places"

    condition_threshold {
      filter          = "${local.answers} AND metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "120s"

      aggregations {
        alignment_period     = "120s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    content = "infra/README.md, Recover. With acme and one machine this also rings while it is replaced."
  }
}

resource "google_monitoring_alert_policy" "certificate" {
  project               = var.project
  display_name          = "${var.name}: the certificate ends soon"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels

  conditions {
    display_name = "less than 14 days"

    condition_threshold {
      filter          = "${local.answers} AND metric.type = \"monitoring.googleapis.com/uptime_check/time_until_ssl_cert_expires\""
      comparison      = "COMPARISON_LT"
      threshold_value = 14
      duration        = "600s"

      aggregations {
        alignment_period   = "600s"
        per_series_aligner = "ALIGN_NEXT_OLDER"
      }
    }
  }

  documentation {
    content = "infra/README.md, Rotate. The machine renews by itself: look whether var.reach still names the ACME directory."
  }
}

resource "google_monitoring_alert_policy" "size" {
  project               = var.project
  display_name          = "${var.name}: too few machines, or no room for more"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels

  conditions {
    display_name = "fewer than machines.min"

    condition_threshold {
      filter          = local.size
      comparison      = "COMPARISON_LT"
      threshold_value = var.machines.min
      duration        = "600s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MEAN"
      }
    }
  }

  dynamic "conditions" {
    for_each = var.machines.max > var.machines.min ? [var.machines.max] : []

    content {
      display_name = "all of machines.max"

      condition_threshold {
        filter          = local.size
        comparison      = "COMPARISON_GT"
        threshold_value = conditions.value - 1
        duration        = "1800s"

        aggregations {
          alignment_period   = "60s"
          per_series_aligner = "ALIGN_MEAN"
        }
      }
    }
  }

  documentation {
    content = "infra/README.md, Recover. A zone may be out of confidential machines: add zones."
  }
}

resource "google_monitoring_alert_policy" "boot" {
  project               = var.project
  display_name          = "${var.name}: a machine booted something else"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.channels

  # An alert looks at one metric each.
  dynamic "conditions" {
    for_each = ["early", "late"]

    content {
      display_name = "Shielded VM integrity failed: ${conditions.value} boot"

      condition_threshold {
        filter          = "resource.type = \"gce_instance\" AND metric.type = \"compute.googleapis.com/instance/integrity/${conditions.value}_boot_validation_status\" AND metric.labels.status = \"failed\""
        comparison      = "COMPARISON_GT"
        threshold_value = 0
        duration        = "0s"

        aggregations {
          alignment_period   = "60s"
          per_series_aligner = "ALIGN_NEXT_OLDER"
        }
      }
    }
  }

  documentation {
    content = "Google's word against a baseline of its own; what decides is the quote. infra/README.md, Revoke."
  }
}

resource "google_monitoring_alert_policy" "hands" {
  project               = var.project
  display_name          = "${var.name}: somebody changed what machines are or reach"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels

  conditions {
    display_name = "a change in the audit log"

    condition_matched_log {
      filter = "log_id(\"cloudaudit.googleapis.com/activity\") AND protoPayload.methodName=~\"${local.hands}\""
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "300s"
    }
  }

  documentation {
    content = "Expected while a deployment of ours runs, and at no other time. infra/README.md, Audit."
  }
}

resource "google_monitoring_alert_policy" "leaving" {
  project               = var.project
  display_name          = "${var.name}: something tried to leave"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.channels

  conditions {
    display_name = "egress denied"

    condition_matched_log {
      filter = "log_id(\"compute.googleapis.com/firewall\") AND jsonPayload.disposition=\"DENIED\" AND jsonPayload.rule_details.direction=\"EGRESS\""
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "300s"
    }
  }

  documentation {
    content = "A machine sent a packet to where nothing is named. infra/README.md, Revoke."
  }
}
