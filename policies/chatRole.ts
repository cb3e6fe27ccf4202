/** The role of the Slack channel, and the most that anybody can do from it. */
import { allow, type PolicyTable } from "./document";

/** The statement of the role, and of its guardrail. */
export const chatRole = {
    ShowMetrics: {
        why: "the channel draws the metric behind an alarm, can read nothing else and change nothing; metrics have no resource type, and the alarm itself comes with the notification",
        page: "chatbot/latest/adminguide/chatbot-iam-policies.html",
        statement: () => allow("cloudwatch:GetMetricStatistics cloudwatch:GetMetricWidgetImage", "*"),
    },
} satisfies PolicyTable<object>;
